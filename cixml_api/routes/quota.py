"""What the caller may have and has."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from cixml_api import schemas, views
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.openapi import problems
from resources.postgres.pool import connected
from resources.postgres.quotas import quota_use

router = APIRouter(prefix="/v1/quota", tags=["limits"])


@router.get(
    "",
    operation_id="quota_read",
    response_model=schemas.Quota,
    responses=problems("quota_read"),
    summary="Read own limits",
)
async def read_quota(request: Request, caller: Caller, services: AnyServices) -> Response:
    """Return each limit, what is used of it, and the seconds until it is whole again."""
    limits = services.settings.limits
    async with connected(services.pool) as connection:
        used = await quota_use(connection, caller_id=caller.caller_id)
    count = request.state.count
    requests = schemas.Allowance(limit=None, used=0, reset_seconds=None)
    if count is not None:
        reset = round(count.reset_seconds, 1)
        requests = schemas.Allowance(limit=count.limit, used=count.limit - count.remaining, reset_seconds=reset)
    return views.answer(
        schemas.Quota(
            requests_per_minute=requests,
            queued_pages=_allowance(limits.queued_pages, used.queued_pages),
            corpora=_allowance(limits.corpora, used.corpora),
            tokens_per_day=_allowance(limits.tokens_per_day, used.tokens_today, round(used.day_seconds, 1)),
        )
    )


def _allowance(limit: int, used: int, reset_seconds: float | None = None) -> schemas.Allowance:
    return schemas.Allowance(limit=limit or None, used=used, reset_seconds=reset_seconds)
