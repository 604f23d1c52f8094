"""What endpoints are given: the caller, the database, the search, the model of new corpora."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from cixml_api.searching import Searcher
from resources.embedding.breaker import BreakerReport
from resources.errors import UnauthenticatedError
from resources.membership import Membership
from resources.postgres.corpora import NewIndex
from resources.postgres.pool import Pool
from resources.settings import Settings
from resources.types import CallerContext


class Breaker(Protocol):
    """What /healthz and /metrics ask of a circuit breaker."""

    model_id: str

    async def state(self) -> BreakerReport: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything an endpoint may use. `new_index` is what a corpus made now is served by."""

    settings: Settings
    pool: Pool
    membership: Membership
    searcher: Searcher
    new_index: NewIndex
    breakers: tuple[Breaker, ...]
    ping_redis: Callable[[], Awaitable[None]] | None


async def get_services(request: Request) -> Services:
    """Return the app's services. Async, because FastAPI takes a thread for each call of a plain function."""
    return _services(request)


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="`Authorization: Bearer KEY`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="key", description="`X-API-Key: KEY`")


async def get_caller(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> CallerContext:
    """Return who calls. Raises UnauthenticatedError."""
    started = time.perf_counter()
    key = bearer.credentials if bearer else header
    if not key:
        raise UnauthenticatedError
    caller = await _services(request).membership.authenticate(key)
    request.state.auth_seconds = time.perf_counter() - started
    return caller


AnyServices = Annotated[Services, Depends(get_services)]
Caller = Annotated[CallerContext, Depends(get_caller)]
