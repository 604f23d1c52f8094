"""Redis clients against a real server: waiting for a connection, the policy check, and a server that is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from redis.asyncio import Redis

from resources.cache.query_vectors import QueryVectorCache
from resources.cache.redis import Scripts, assert_noeviction, make_async_client, make_sync_client, redis_errors
from resources.errors import CacheUnavailableError, ConfigurationError
from tests.fakes.valkey import ValkeyServer, free_port, running_valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as running:
        yield running


@pytest.fixture
async def client(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    client = make_async_client(valkey.url, pool_size=4)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def gone() -> AsyncIterator[Redis]:
    client = make_async_client(f"redis://127.0.0.1:{free_port()}/0")
    yield client
    await client.aclose()


async def test_more_callers_than_connections_wait_their_turn(client: Redis) -> None:
    answers = await asyncio.gather(*(client.incr("n") for _ in range(200)))
    assert sorted(answers) == list(range(1, 201))


def test_noeviction_is_accepted(valkey: ValkeyServer) -> None:
    with make_sync_client(valkey.url) as client:
        assert_noeviction(client)


def test_a_server_that_may_drop_keys_is_refused_with_the_remedy() -> None:
    with (
        running_valkey(policy="allkeys-lru") as server,
        make_sync_client(server.url) as client,
        pytest.raises(ConfigurationError, match=r"'allkeys-lru'.*Set 'maxmemory-policy noeviction'"),
    ):
        assert_noeviction(client)


def test_a_server_that_is_gone_is_said_to_be_unavailable() -> None:
    with (
        make_sync_client(f"redis://127.0.0.1:{free_port()}/0") as client,
        pytest.raises(CacheUnavailableError, match="Redis does not answer"),
    ):
        assert_noeviction(client)


async def test_a_server_that_is_gone_is_noticed_at_once(gone: Redis) -> None:
    started = time.monotonic()
    with pytest.raises(CacheUnavailableError), redis_errors():
        await gone.ping()
    assert time.monotonic() - started < 1.0


async def test_a_script_is_sent_again_when_the_server_forgot_it(client: Redis) -> None:
    scripts = Scripts(client)
    script = "return {KEYS[1], ARGV[1]}"
    assert await scripts.run(script, keys=["k"], arguments=[1]) == [b"k", b"1"]
    await client.script_flush()
    assert await scripts.run(script, keys=["k"], arguments=[2]) == [b"k", b"2"]


async def test_a_script_without_a_server_is_unavailable(gone: Redis) -> None:
    with pytest.raises(CacheUnavailableError):
        await Scripts(gone).run("return {}", keys=[], arguments=[])


async def test_a_query_vector_comes_back_as_it_was(client: Redis) -> None:
    cache = QueryVectorCache(client)
    vector = np.array([0.6, 0.8, 0.0], dtype=np.float32)
    assert await cache.get("cats", fingerprint="f", dimension=3) is None
    await cache.put("cats", vector, fingerprint="f")
    found = await cache.get("cats", fingerprint="f", dimension=3)
    assert found is not None
    np.testing.assert_array_equal(found, vector)
    assert 3590 < await client.ttl((await client.keys())[0]) <= 3600


async def test_another_model_or_dimension_misses(client: Redis) -> None:
    cache = QueryVectorCache(client)
    await cache.put("cats", np.ones(3, dtype=np.float32), fingerprint="f")
    assert await cache.get("cats", fingerprint="g", dimension=3) is None
    assert await cache.get("cats", fingerprint="f", dimension=4) is None


async def test_no_key_holds_the_text(client: Redis) -> None:
    await QueryVectorCache(client).put("a secret question", np.ones(3, dtype=np.float32), fingerprint="f")
    assert all(b"secret" not in key for key in await client.keys())


async def test_without_redis_every_look_up_is_a_miss(gone: Redis) -> None:
    cache = QueryVectorCache(gone)
    await cache.put("cats", np.ones(3, dtype=np.float32), fingerprint="f")
    assert await cache.get("cats", fingerprint="f", dimension=3) is None
