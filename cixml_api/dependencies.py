"""What endpoints are given: the caller, the operator, the database, the search, the model of new corpora."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from cixml_api.access import Gate, access_of, refuse_excess
from cixml_api.audit import AuditLog
from cixml_api.filters import check_query
from cixml_api.model_watch import ModelWatch
from cixml_api.open_streams import OpenStreams
from cixml_api.search_counts import SearchCounts
from cixml_api.searching import Searcher
from resources.cache.redis import Memory
from resources.embedding.breaker import BreakerReport
from resources.embedding.registry import Model
from resources.errors import ForbiddenError, UnauthenticatedError
from resources.membership import Membership
from resources.postgres.corpora import NewIndex
from resources.postgres.pool import Pool
from resources.settings import Settings
from resources.telemetry import attributes, metrics, tracing
from resources.types import CallerContext, Scope


class Breaker(Protocol):
    """What /healthz and /metrics ask of a circuit breaker."""

    model_id: str

    async def state(self) -> BreakerReport: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything an endpoint may use. `new_index` serves corpora that are made now; `models` are enabled."""

    settings: Settings
    pool: Pool
    membership: Membership
    gate: Gate
    audit: AuditLog
    search_counts: SearchCounts
    streams: OpenStreams
    searcher: Searcher
    model_watch: ModelWatch
    new_index: NewIndex
    models: Mapping[str, Model]
    breakers: tuple[Breaker, ...]
    ping_redis: Callable[[], Awaitable[None]] | None
    redis_memory: Callable[[], Awaitable[Memory]] | None
    dagster_pool: Pool | None


async def get_services(request: Request) -> Services:
    """Return the app's services. Async, because FastAPI takes a thread for each call of a plain function."""
    return _services(request)


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="`Authorization: Bearer KEY`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="key", description="`X-API-Key: KEY`")


async def get_known(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> CallerContext:
    """Return who calls, once it is counted.

    Raises UnauthenticatedError, LimitError, MembershipUnavailableError, and InvalidFieldsError for a query that holds
    what the route does not know.
    """
    started = time.perf_counter()
    gate, state = _services(request).gate, request.state
    key = bearer.credentials if bearer else header
    if not key:
        metrics.auth.labels("missing").inc()
        raise UnauthenticatedError
    access = access_of(request, key)
    try:
        caller = await gate.identify(key, peer=access.peer)
    except UnauthenticatedError:
        state.access = access
        raise
    tracing.note(attributes.CALLER_TYPE, caller.caller_type)
    state.count = await gate.admit(caller)
    refuse_excess(state.count)
    access.caller_id = caller.caller_id
    state.access = access
    state.identify_again = partial(gate.identify, key, peer=access.peer)
    check_query(request)
    state.auth_seconds = time.perf_counter() - started
    return caller


async def get_caller(known: Annotated[CallerContext, Security(get_known)]) -> CallerContext:
    """Return who calls. Raises ForbiddenError for a key that has no corpora of its own."""
    if Scope.CALLER not in known.scopes:
        raise ForbiddenError("This key is not a caller's.")
    return known


async def get_operator(known: Annotated[CallerContext, Security(get_known)]) -> CallerContext:
    """Return the operator who calls. Raises ForbiddenError."""
    if Scope.OPERATOR not in known.scopes:
        raise ForbiddenError
    return known


AnyServices = Annotated[Services, Depends(get_services)]
Known = Annotated[CallerContext, Security(get_known)]
Caller = Annotated[CallerContext, Depends(get_caller)]
Operator = Annotated[CallerContext, Depends(get_operator)]


async def hold_stream(caller: Caller, services: AnyServices) -> AsyncIterator[None]:
    """Hold a place among the caller's open streams until the answer was sent to its end."""
    with services.streams.one_more(caller.caller_id):
        yield
