"""Dead letters: items that failed for good, over all jobs of a caller; and one item by its id."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from cixml_api import schemas, views
from cixml_api.addresses import corpus_key
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.errors import NothingToRetryError
from cixml_api.filters import Moment, Several, plain, several
from cixml_api.idempotency import IdempotencyKey
from cixml_api.openapi import problems
from cixml_api.pagination import Cursor, Limit, decode_cursor, encode_cursor, page, split
from cixml_api.retrying import make_retry
from cixml_api.schemas import CORPUS_ADDRESS
from resources.errors import NotFoundError
from resources.identifiers import Prefix, parse_public_id
from resources.postgres.failed_items import FailedItemFilter, count_failed_items, get_item, list_failed_items
from resources.postgres.pool import connected
from resources.types import ItemStatus, Stage

router = APIRouter(prefix="/v1/items", tags=["jobs"])

_PLACE = TypeAdapter(tuple[Literal["-created_at"], UUID])


@router.get(
    "",
    operation_id="failed_item_list",
    response_model=schemas.PlacedItemList,
    responses=problems("failed_item_list", 422),
    summary="List dead letters",
)
async def read_failed_items(
    request: Request,
    caller: Caller,
    services: AnyServices,
    status: Annotated[Literal["failed"], Query(description="there are lists of failed items alone")] = "failed",
    corpus: Annotated[str | None, Query(pattern=CORPUS_ADDRESS)] = None,
    stage: Several = None,
    code: Several = None,
    created_after: Moment = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List what failed for good over all own jobs and was not retried since, the newest first.

    A retry makes a new item, which stands here if it fails, too; the old one names it (`retried_as`).
    """
    where = FailedItemFilter(
        corpus=corpus_key(caller, corpus) if corpus else None,
        stages=several("stage", stage, Stage),
        codes=[each.strip() for each in code.split(",")] if plain("code", code) and code else None,
        created_after=created_after,
    )
    place = decode_cursor(cursor, _PLACE)
    async with connected(services.pool) as connection:
        total = await count_failed_items(connection, caller_id=caller.caller_id, where=where)
        rows = await list_failed_items(
            connection,
            caller_id=caller.caller_id,
            where=where,
            before_id=place[1] if place else None,
            limit=limit + 1,
        )
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor("-created_at", shown[-1].id) if has_more else None
    found = page(request, limit=limit, order="-created_at", total=total, next_cursor=next_cursor)
    body = schemas.PlacedItemList(content=[views.placed_item(row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


@router.get(
    "/{item_id}",
    operation_id="item_read",
    response_model=schemas.PlacedItem,
    responses=problems("item_read", 404),
    summary="Read one item",
)
async def read_item(caller: Caller, services: AnyServices, item_id: str) -> Response:
    """Return an item of an own job in any state, with its job and corpus."""
    key = parse_public_id(Prefix.ITEM, item_id)
    async with connected(services.pool) as connection:
        row = await get_item(connection, caller_id=caller.caller_id, item_id=key)
    if row is None:
        raise NotFoundError
    return views.answer(views.placed_item(row))


@router.post(
    "/{item_id}/retry",
    operation_id="item_retry",
    status_code=202,
    response_model=schemas.Job,
    responses=problems("item_retry", 404, 409, 422),
    summary="Retry one item",
)
async def retry_item(
    request: Request, caller: Caller, services: AnyServices, item_id: str, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a job of this failed or cancelled item, from the stage that failed with the stored bytes."""
    key = parse_public_id(Prefix.ITEM, item_id)
    async with connected(services.pool) as connection:
        row = await get_item(connection, caller_id=caller.caller_id, item_id=key)
    if row is None:
        raise NotFoundError
    if row.status not in (ItemStatus.FAILED, ItemStatus.CANCELLED):
        raise NothingToRetryError(f"The item is {row.status}: what failed or was cancelled can be retried.")
    return await make_retry(
        request,
        caller,
        services,
        job_id=row.job_id,
        body=schemas.RetryRequest(items=[item_id]),
        item_ids=[key],
        idempotency_key=idempotency_key,
    )
