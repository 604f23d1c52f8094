"""Receipts of deletions."""

from __future__ import annotations

from fastapi import APIRouter, Response

from cixml_api import schemas, views
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.openapi import problems
from resources.errors import NotFoundError
from resources.identifiers import Prefix, parse_public_id
from resources.postgres.pool import connected
from resources.postgres.receipts import get_receipt

router = APIRouter(prefix="/v1/receipts", tags=["deletions"])


@router.get(
    "/{receipt_id}",
    operation_id="receipt_read",
    response_model=schemas.Receipt,
    responses=problems("receipt_read", 404),
    summary="Read the receipt of a deletion",
)
async def read_receipt(caller: Caller, services: AnyServices, receipt_id: str) -> Response:
    """Return how far a deletion is, layer by layer. `done` says that nothing of it is left. For who asked for it."""
    key = parse_public_id(Prefix.RECEIPT, receipt_id)
    async with connected(services.pool) as connection:
        row = await get_receipt(connection, caller_id=caller.caller_id, receipt_id=key)
    if row is None:
        raise NotFoundError
    return views.answer(views.receipt(row))
