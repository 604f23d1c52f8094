"""The one place that owns the library `limits`: hits counted in moving windows of a minute, in Redis or in the process.

In Redis a hit is one atomic step, so the number holds exactly over all processes. While Redis is gone each process
counts for itself with the same number: a caller then gets at most the limit times the processes, and none is refused.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import Redis

from resources.telemetry import metrics

WINDOW_SECONDS = 60
REDIS_PAUSE_SECONDS = 2.0
"""After a failure Redis is left alone for so long: its time-out on each request would hurt more than the count."""

_log = logging.getLogger("cixml.limits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Where a caller stands in one policy's window."""

    policy: str
    limit: int
    is_allowed: bool
    remaining: int
    reset_seconds: float


class RateLimits:
    """Counts hits per policy and caller (or peer)."""

    def __init__(self, redis: Redis | None) -> None:
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._shared = MovingWindowRateLimiter(_storage(redis)) if redis else None
        self._redis_again_at = 0.0

    async def hit(self, policy: str, who: str, *, limit: int) -> Count:
        """Count one request if it is within the limit."""
        return await self._count(policy, who, limit, is_hit=True)

    async def look(self, policy: str, who: str, *, limit: int) -> Count:
        """Tell whether one more would be within the limit, without counting."""
        return await self._count(policy, who, limit, is_hit=False)

    async def _count(self, policy: str, who: str, limit: int, *, is_hit: bool) -> Count:
        if self._shared is not None and time.monotonic() >= self._redis_again_at:
            try:
                return await _ask(self._shared, policy, who, limit, is_hit=is_hit)
            except StorageError as error:
                self._redis_again_at = time.monotonic() + REDIS_PAUSE_SECONDS
                _log.warning("Redis does not answer (%s): limits are counted in the process", type(error).__name__)
        if self._shared is not None:
            metrics.redis_fallback.labels("limits").inc()
        return await _ask(self._local, policy, who, limit, is_hit=is_hit)


async def _ask(limiter: MovingWindowRateLimiter, policy: str, who: str, limit: int, *, is_hit: bool) -> Count:
    item = RateLimitItemPerMinute(limit, namespace=policy)
    is_allowed = await limiter.hit(item, who) if is_hit else await limiter.test(item, who)
    stats = await limiter.get_window_stats(item, who)
    return Count(
        policy=policy,
        limit=limit,
        is_allowed=is_allowed,
        remaining=max(0, stats.remaining),
        reset_seconds=min(WINDOW_SECONDS, max(0.0, stats.reset_time - time.time())),
    )


def _storage(redis: Redis) -> RedisStorage:
    """Return the storage on our own client's pool; the address is not used then, but the library wants one."""
    return RedisStorage(
        "async+redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="cixml:limits",
        connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # the library's types forget the pool
    )
