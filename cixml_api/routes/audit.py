"""Who asked for what: for operators."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from cixml_api import schemas, views
from cixml_api.dependencies import AnyServices, Operator
from cixml_api.filters import Moment
from cixml_api.openapi import problems
from cixml_api.pagination import Cursor, Limit, decode_cursor, encode_cursor, page, split
from resources.identifiers import Prefix, public_id
from resources.postgres.audit import AuditFilter, AuditRecord, count_audit, list_audit
from resources.postgres.pool import connected

router = APIRouter(prefix="/v1/audit", tags=["operations"])

_PLACE = TypeAdapter(tuple[Literal["-at"], UUID])

PlainText = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.get(
    "",
    operation_id="audit_list",
    response_model=schemas.AuditList,
    responses=problems("audit_list", 403, 422),
    summary="Read the audit record",
)
async def read_audit(
    request: Request,
    operator: Operator,
    services: AnyServices,
    caller_id: PlainText = None,
    method: PlainText = None,
    route: PlainText = None,
    request_id: PlainText = None,
    status: Annotated[int | None, Query(ge=100, le=599)] = None,
    created_after: Moment = None,
    created_before: Moment = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the accesses of all callers, the newest first. `route` is a template, as `/v1/jobs/{job_id}`."""
    where = AuditFilter(
        caller_id=caller_id,
        method=method,
        route=route,
        status=status,
        request_id=request_id,
        created_after=created_after,
        created_before=created_before,
    )
    place = decode_cursor(cursor, _PLACE)
    await services.audit.flush()
    async with connected(services.pool) as connection:
        rows = await list_audit(connection, where=where, before=place[1] if place else None, limit=limit + 1)
        total = await count_audit(connection, where=where)
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor("-at", shown[-1].id) if has_more else None
    found = page(request, limit=limit, order="-at", total=total, next_cursor=next_cursor)
    body = schemas.AuditList(content=[_entry(row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


def _entry(row: AuditRecord) -> schemas.AuditEntry:
    return schemas.AuditEntry(
        id=public_id(Prefix.AUDIT, row.id),
        at=row.at,
        caller_id=row.caller_id,
        peer=row.peer,
        method=row.method,
        route=row.route,
        ids=row.ids,
        status=row.status,
        request_id=row.request_id,
        trace_id=row.trace_id,
    )
