"""Documents of a corpus."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from cixml_api import schemas, views
from cixml_api.addresses import corpus_key
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.openapi import problems
from cixml_api.pagination import Cursor, Limit, decode_cursor, encode_cursor, page, split
from resources.errors import NotFoundError
from resources.postgres.documents import count_documents, list_documents
from resources.postgres.pool import connected

router = APIRouter(prefix="/v1/corpora/{name}", tags=["documents"])

_DOCUMENT_PLACE = TypeAdapter(tuple[Literal["created_at"], UUID])


@router.get(
    "/documents",
    operation_id="document_list",
    response_model=schemas.DocumentList,
    responses=problems("document_list", 404, 422),
    summary="List live documents",
)
async def read_documents(
    request: Request, caller: Caller, services: AnyServices, name: str, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List the documents that a search can find, oldest first."""
    place = decode_cursor(cursor, _DOCUMENT_PLACE)
    key = corpus_key(caller, name)
    async with connected(services.pool) as connection:
        total = await count_documents(connection, caller_id=caller.caller_id, corpus=key)
        if total is None:
            raise NotFoundError
        rows = await list_documents(
            connection,
            caller_id=caller.caller_id,
            corpus=key,
            after_id=place[1] if place else None,
            limit=limit + 1,
        )
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor("created_at", shown[-1].id) if has_more else None
    found = page(request, limit=limit, order="created_at", total=total, next_cursor=next_cursor)
    body = schemas.DocumentList(content=[views.document(row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)
