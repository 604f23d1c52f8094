"""Remembers the vectors of queries for an hour, so that a repeated search costs no call to the embedding server.

The key is a hash of the text and the model's fingerprint: it names no caller, and a changed model misses.
Without Redis every look-up is a miss: nothing here raises because of it.
"""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis

from resources.cache.redis import redis_errors
from resources.errors import CacheUnavailableError
from resources.telemetry import metrics

TTL_SECONDS = 3600

_log = logging.getLogger("cixml.cache")


class QueryVectorCache:
    """Query text -> vector, as little-endian float32 bytes in Redis."""

    def __init__(self, redis: Redis, *, ttl_seconds: int = TTL_SECONDS) -> None:
        self._redis = redis
        self._ttl_seconds = ttl_seconds

    async def get(self, text: str, *, fingerprint: str, dimension: int) -> npt.NDArray[np.float32] | None:
        """Return the vector, or None when it is not known, has another dimension, or Redis does not answer."""
        try:
            with redis_errors():
                stored = await self._redis.get(_key(text, fingerprint))
        except CacheUnavailableError as error:
            _log.warning("query vector not looked up: %s", error)
            metrics.embedding_cache.labels("unavailable").inc()
            return None
        if not isinstance(stored, bytes) or len(stored) != dimension * 4:
            metrics.embedding_cache.labels("miss").inc()
            return None
        metrics.embedding_cache.labels("hit").inc()
        return np.frombuffer(stored, dtype="<f4").astype(np.float32)

    async def put(self, text: str, vector: npt.NDArray[np.float32], *, fingerprint: str) -> None:
        """Remember a vector. Does nothing when Redis does not answer."""
        try:
            with redis_errors():
                await self._redis.set(_key(text, fingerprint), vector.astype("<f4").tobytes(), ex=self._ttl_seconds)
        except CacheUnavailableError as error:
            _log.warning("query vector not stored: %s", error)


def _key(text: str, fingerprint: str) -> str:
    digest = hashlib.sha256(f"{fingerprint}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"cixml:query_vector:{digest}"
