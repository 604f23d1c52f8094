"""Keeps what Membership said of a caller, in Redis. The key is the caller's id, an HMAC; the value is opaque here."""

from __future__ import annotations

import math

from redis.asyncio import Redis

from resources.cache.redis import redis_errors


class RedisClaims:
    """Caller id -> signed verdict."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, caller_id: str) -> bytes | None:
        """Return the value. Raises CacheUnavailableError."""
        with redis_errors():
            stored = await self._redis.get(f"cixml:claims:{caller_id}")
        return stored if isinstance(stored, bytes) else None

    async def put(self, caller_id: str, value: bytes, *, ttl_seconds: float) -> None:
        """Keep the value for so long. Raises CacheUnavailableError."""
        with redis_errors():
            await self._redis.set(f"cixml:claims:{caller_id}", value, ex=math.ceil(ttl_seconds))
