"""The one place that owns the Redis library: clients, Lua scripts, and what its errors mean.

Redis is never the truth: each caller of this module goes on without it (a miss, a decision made in the process).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from resources.errors import CacheUnavailableError, ConfigurationError

SOCKET_TIMEOUT_SECONDS = 1.0
"""A command takes below a millisecond. A server that needs a second is as good as gone, and callers have a fallback."""

POOL_TIMEOUT_SECONDS = 5.0
"""How long a caller waits for a free connection: on a busy machine the queue is longer than any one command."""

POOL_SIZE = 32
NOEVICTION = "noeviction"


def make_async_client(url: str, *, pool_size: int = POOL_SIZE) -> redis.asyncio.Redis:
    """Return an async client that answers bytes. Callers above `pool_size` wait their turn (the default pool refuses).

    One retry without a pause: it serves a connection that the server closed while it was idle. The library's own
    default, three retries with growing pauses, would hold a search for seconds when Redis is gone.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=pool_size,
        timeout=POOL_TIMEOUT_SECONDS,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 1),
    )
    return redis.asyncio.Redis.from_pool(pool)


def make_sync_client(url: str, *, pool_size: int = POOL_SIZE) -> redis.Redis:
    """Return a client for code without an event loop, with the same limits."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=pool_size,
        timeout=POOL_TIMEOUT_SECONDS,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
        retry=redis.retry.Retry(NoBackoff(), 1),
    )
    return redis.Redis.from_pool(pool)


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raise CacheUnavailableError for whatever the library or the socket raises inside."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise CacheUnavailableError(f"Redis does not answer: {error}") from error


def assert_noeviction(client: redis.Redis) -> None:
    """Raise ConfigurationError unless the server keeps what it was given, CacheUnavailableError when it is gone.

    With any other policy a full server silently drops the Celery queue and the breaker's state. Managed servers that
    forbid CONFIG report the policy in INFO, so that is what is read.
    """
    with redis_errors():
        policy = client.info("memory")["maxmemory_policy"]
    if policy != NOEVICTION:
        raise ConfigurationError(
            f"Redis has maxmemory-policy {policy!r}: it may drop queued work when it is full. "
            f"Set 'maxmemory-policy {NOEVICTION}' in its configuration"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the server uses, and may use; a limit of 0 is none."""

    used_bytes: int
    limit_bytes: int


async def memory(client: redis.asyncio.Redis) -> Memory:
    """Return how full the server is. Raises CacheUnavailableError."""
    with redis_errors():
        found = await client.info("memory")
    return Memory(used_bytes=found["used_memory"], limit_bytes=found["maxmemory"])


class Scripts:
    """Runs Lua scripts in Redis, each as one atomic step: by digest, sent again when the server forgot it."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._scripts: dict[str, redis.commands.core.AsyncScript] = {}

    async def run(self, script: str, *, keys: Sequence[str], arguments: Sequence[str | int]) -> list[bytes | int]:
        """Return the script's answer, a list. Raises CacheUnavailableError."""
        known = self._scripts.get(script) or self._scripts.setdefault(script, self._client.register_script(script))
        with redis_errors():
            answer: list[bytes | int] = await known(keys=list(keys), args=list(arguments))
        return answer
