"""What was used, by the day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from cixml_api import schemas, views
from cixml_api.dependencies import AnyServices, Known
from cixml_api.errors import RANGE, VALUE, FieldProblem, InvalidFieldsError
from cixml_api.openapi import problems
from cixml_api.pagination import Cursor, Limit, decode_cursor, encode_cursor, page
from resources.postgres.pool import connected
from resources.postgres.usage import Group, UsageRow, read_usage
from resources.types import Scope

DEFAULT_DAYS = 30
MOST_DAYS = 366
GROUPS: tuple[Group, ...] = get_args(Group)

router = APIRouter(prefix="/v1/usage", tags=["limits"])

_PLACE = TypeAdapter(tuple[Literal["usage"], str, int])
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_GROUPS = rf"^({'|'.join(GROUPS)})(,({'|'.join(GROUPS)}))*$"


@router.get(
    "",
    operation_id="usage_read",
    response_model=schemas.UsageReport,
    responses=problems("usage_read", 422),
    summary="Read own usage",
)
async def read(
    request: Request,
    caller: Known,
    services: AnyServices,
    first: Annotated[
        str | None,
        Query(
            alias="from",
            pattern=_DAY,
            description=f"the first day (UTC), as 2026-11-24; else {DEFAULT_DAYS} days before `to`",
        ),
    ] = None,
    end: Annotated[
        str | None,
        Query(
            alias="to",
            pattern=_DAY,
            description=f"the day after the last one; else tomorrow. At most {MOST_DAYS} days after `from`",
        ),
    ] = None,
    group_by: Annotated[
        str | None, Query(pattern=_GROUPS, max_length=100, description="one or several, separated by commas")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Return what the caller used, day by day in UTC; the key of an operator reads what all callers used.

    Pages count when their items end, texts with their vectors, searches within a second. Without `group_by` there is
    one group. Groups are ordered by day, caller, corpus, model and operation.
    """
    days = _window(first, end)
    names: list[Group] = [name for name in GROUPS if name in (group_by or "").split(",")]
    order = ",".join(names)
    offset = _offset(cursor, order)
    await services.search_counts.flush()
    async with connected(services.pool) as connection:
        total, groups = await read_usage(
            connection,
            reader=caller.caller_id,
            of_all=Scope.OPERATOR in caller.scopes,
            first=days[0],
            end=days[1],
            group_by=names,
            limit=limit,
            offset=offset,
        )
    has_more = offset + len(groups) < total.groups
    next_cursor = encode_cursor("usage", order, offset + limit) if has_more else None
    found = page(request, limit=limit, order=order, total=total.groups, next_cursor=next_cursor)
    body = schemas.UsageReport.model_validate(
        {
            "from": days[0],
            "to": days[1],
            "total": _numbers(total),
            "content": [_group(row) for row in groups],
            "_metadata": found.metadata,
        }
    )
    return views.answer(body, headers=found.headers)


def _window(first: str | None, end: str | None) -> tuple[date, date]:
    """Return the first day and the day after the last. Raises InvalidFieldsError."""
    until = _day("to", end) or datetime.now(UTC).date() + timedelta(days=1)
    since = _day("from", first)
    if since is None:
        since = max(date.min + timedelta(days=DEFAULT_DAYS), until) - timedelta(days=DEFAULT_DAYS)
    if since >= until:
        raise _refusal("from", f"{since} is not before {until}: let 'from' be before 'to'")
    if until - since > timedelta(days=MOST_DAYS):
        raise _refusal("from", f"these are {(until - since).days} days of at most {MOST_DAYS}: ask for fewer at once")
    return since, until


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _refusal(name, f"{text} is no day: {error}") from error


def _refusal(name: str, detail: str) -> InvalidFieldsError:
    return InvalidFieldsError([FieldProblem(pointer=f"/{name}", number=RANGE, detail=detail)])


def _offset(cursor: str | None, order: str) -> int:
    place = decode_cursor(cursor, _PLACE)
    if place is None:
        return 0
    if place[1] != order or not 0 <= place[2] < 2**31:
        detail = "the cursor is of another list: start again without it"
        raise InvalidFieldsError([FieldProblem(pointer="/cursor", number=VALUE, detail=detail)])
    return place[2]


def _group(row: UsageRow) -> schemas.UsageGroup:
    return schemas.UsageGroup.model_validate(
        {name: getattr(row, name) for name in ("caller_id", "corpus", "model", "operation", "day")} | _numbers(row)
    )


def _numbers(row: UsageRow) -> dict[str, int]:
    return {name: getattr(row, name) for name in schemas.UsageNumbers.model_fields}
