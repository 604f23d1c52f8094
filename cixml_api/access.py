"""Who may go on: a request's caller, the limits on callers and on peers that guess keys, what the audit record gets.

Nothing here keeps the key: it is in the request's headers and in this module's arguments.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from fastapi import Request

from resources.cache.rate_limits import Count, RateLimits
from resources.errors import RateLimitedError, TooManyBadKeysError, UnauthenticatedError
from resources.membership import Membership
from resources.settings import LimitSettings
from resources.telemetry import metrics
from resources.types import CallerContext

REQUESTS = "requests-per-minute"
BAD_KEYS = "bad-keys-per-minute"

_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,192}")
"""An id, a name, or the address `owner:name` of a granted corpus."""


@dataclass(slots=True, kw_only=True)
class Access:
    """What is known of an access when its key was looked at; `caller_id` stays None for an unknown key."""

    method: str
    route: str
    ids: dict[str, str] = field(default_factory=dict)
    peer: str
    caller_id: str | None = None


def access_of(request: Request, key: str) -> Access:
    """Begin the audit record: the route's template and the ids in the path, unless they could hold the key."""
    ids = {
        name: value
        for name, value in request.path_params.items()
        if isinstance(value, str) and _PLAIN_ID.fullmatch(value) and key not in value
    }
    route = getattr(request.scope.get("route"), "path", "")
    return Access(method=request.method, route=route, ids=ids, peer=peer_of(request))


def peer_of(request: Request) -> str:
    """Return the address the request came from; of IPv6 its network of 64 bits, which one host has whole."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


class Gate:
    """Lets known callers through, as often as they may."""

    def __init__(self, membership: Membership, *, counts: RateLimits, limits: LimitSettings) -> None:
        self._membership = membership
        self._counts = counts
        self._limits = limits

    async def identify(self, key: str, *, peer: str) -> CallerContext:
        """Return whose key this is. Raises UnauthenticatedError, TooManyBadKeysError, MembershipUnavailableError.

        A known caller is never in the way of the peer's limit: behind one gateway all callers have one address.
        """
        if not await self._membership.is_known(key):
            await self._check_peer(peer)
        try:
            caller = await self._membership.authenticate(key)
        except UnauthenticatedError:
            metrics.auth.labels("refused").inc()
            await self._count_bad_key(peer)
            raise
        metrics.auth.labels("ok").inc()
        return caller

    async def admit(self, caller: CallerContext) -> Count | None:
        """Count a request of this caller; None where there is no limit."""
        limit = self._limits.requests_per_minute
        return await self._counts.hit(REQUESTS, caller.caller_id, limit=limit) if limit else None

    async def requests(self, caller: CallerContext) -> Count | None:
        """Tell where the caller stands, without counting."""
        limit = self._limits.requests_per_minute
        return await self._counts.look(REQUESTS, caller.caller_id, limit=limit) if limit else None

    async def _check_peer(self, peer: str) -> None:
        limit = self._limits.bad_keys_per_minute
        if limit:
            _refuse_peer(await self._counts.look(BAD_KEYS, peer, limit=limit))

    async def _count_bad_key(self, peer: str) -> None:
        limit = self._limits.bad_keys_per_minute
        if limit:
            _refuse_peer(await self._counts.hit(BAD_KEYS, peer, limit=limit))


def _refuse_peer(count: Count) -> None:
    if not count.is_allowed:
        metrics.rate_limited.labels(BAD_KEYS).inc()
        raise TooManyBadKeysError(
            f"{count.limit} unknown keys came from this address within a minute: mend the key, then wait",
            policies=[BAD_KEYS],
            retry_after_seconds=max(1.0, count.reset_seconds),
        )


def refuse_excess(count: Count | None) -> None:
    """Raise RateLimitedError where the count says so."""
    if count is not None and not count.is_allowed:
        metrics.rate_limited.labels(REQUESTS).inc()
        raise RateLimitedError(
            f"{count.limit} requests a minute are allowed: slow down",
            policies=[REQUESTS],
            retry_after_seconds=max(1.0, count.reset_seconds),
        )
