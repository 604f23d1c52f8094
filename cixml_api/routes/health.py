"""Is it alive, may it get requests, how is it: for supervisors and operators, without a key and without callers."""

from __future__ import annotations

from fastapi import APIRouter, Response

from cixml_api import schemas, views
from cixml_api.dependencies import AnyServices, Breaker, Services
from resources.errors import CacheUnavailableError, DatabaseUnavailableError
from resources.membership import MembershipReport
from resources.postgres.health import QueueNumbers, ServingModel, missing_migrations, queue_numbers, serving_models
from resources.postgres.pool import connected

router = APIRouter(tags=["health"])


@router.get("/livez", operation_id="live_read", response_model=schemas.Live, summary="Is the process alive")
async def read_live() -> Response:
    """Answer as long as the process runs."""
    return views.answer(schemas.Live())


@router.get(
    "/readyz",
    operation_id="ready_read",
    response_model=schemas.Ready,
    responses={503: {"model": schemas.Ready, "description": "Not ready"}},
    summary="May it get requests",
)
async def read_ready(services: AnyServices) -> Response:
    """Check what every request needs: a connection to Postgres and its migrations. Not the embedding server."""
    checks = {"postgres": "ok", "migrations": "ok", "pool": "ok"}
    try:
        async with connected(services.pool) as connection:
            missing = await missing_migrations(connection)
        if missing:
            checks["migrations"] = f"{len(missing)} not applied: run 'cixml migrate'"
    except DatabaseUnavailableError as error:
        checks |= {"postgres": error.message, "migrations": "not known", "pool": "no connection"}
    is_ready = set(checks.values()) == {"ok"}
    body = schemas.Ready(status="ready" if is_ready else "not_ready", checks=checks)
    return views.answer(body, status=200 if is_ready else 503, headers={} if is_ready else {"Retry-After": "1"})


@router.get(
    "/healthz",
    operation_id="health_read",
    response_model=schemas.Health,
    responses={503: {"model": schemas.Health, "description": "Down"}},
    summary="How is it",
)
async def read_health(services: AnyServices) -> Response:
    """Tell the state of each part. 200 for `ok` and `degraded`, 503 for `down`: Postgres does not answer."""
    queue, serving, postgres = await _ask_postgres(services)
    redis = await _ask_redis(services)
    membership = _membership(services.membership.report())
    breakers = [await _breaker(breaker) for breaker in services.breakers]
    warnings = _warnings(queue, redis, membership, breakers) + await services.model_watch.warnings(serving)
    status = "down" if postgres.status == "down" else "degraded" if warnings else "ok"
    body = schemas.Health.model_validate(
        {
            "status": status,
            "postgres": postgres,
            "redis": redis,
            "membership": membership,
            "embedding": breakers,
            "queue": _queue(queue) if queue else None,
            "worker_slots": queue.live_slots if queue else None,
            "warnings": warnings,
        }
    )
    return views.answer(body, status=503 if status == "down" else 200)


async def _ask_postgres(
    services: Services,
) -> tuple[QueueNumbers | None, list[ServingModel], schemas.PartHealth]:
    try:
        async with connected(services.pool) as connection:
            numbers, serving = await queue_numbers(connection), await serving_models(connection)
            return numbers, serving, schemas.PartHealth(status="ok")
    except DatabaseUnavailableError as error:
        return None, [], schemas.PartHealth(status="down", detail=error.message)


async def _ask_redis(services: Services) -> schemas.PartHealth:
    if services.ping_redis is None:
        return schemas.PartHealth(status="down", detail="REDIS_URL is not set")
    try:
        await services.ping_redis()
    except CacheUnavailableError as error:
        return schemas.PartHealth(status="down", detail=type(error).__doc__)
    return schemas.PartHealth(status="ok")


def _membership(report: MembershipReport) -> schemas.MembershipHealth:
    return schemas.MembershipHealth(
        kind=report.kind,
        status="ok" if report.is_up else "down",
        since_seconds=round(report.since_seconds, 1),
        detail=report.detail,
    )


async def _breaker(breaker: Breaker) -> schemas.BreakerHealth:
    report = await breaker.state()
    return schemas.BreakerHealth(
        model=breaker.model_id,
        breaker=report.state.value,
        since_seconds=round(report.since_seconds, 1),
        retry_after_seconds=round(report.retry_after_seconds, 1),
        reason=report.reason or None,
        shared=report.is_shared,
    )


def _queue(numbers: QueueNumbers) -> schemas.QueueHealth:
    return schemas.QueueHealth(
        ready=numbers.ready,
        waiting=numbers.waiting,
        leased=numbers.leased,
        oldest_seconds=round(numbers.oldest_seconds, 1),
    )


def _warnings(
    queue: QueueNumbers | None,
    redis: schemas.PartHealth,
    membership: schemas.MembershipHealth,
    breakers: list[schemas.BreakerHealth],
) -> list[str]:
    found = []
    if redis.status == "down":
        found.append("Redis does not answer: breaker, limits, claims are not shared, queries are not cached; start it")
    if membership.status == "down":
        found.append(f"Membership is down ({membership.detail}): only callers known of late are served; mend it")
    found += [
        f"the embedding server of {each.model} failed ({each.reason}): searches get 503 and items wait; mend it"
        for each in breakers
        if each.breaker != "closed"
    ]
    if queue and queue.live_slots == 0:
        found.append("no worker takes runs: jobs wait; start a worker")
    return found
