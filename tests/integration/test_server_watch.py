"""Pages that wait for an embedding server go on as soon as it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from resources.cache.redis import Scripts, make_async_client
from resources.embedding.breaker_local import BreakerState
from resources.embedding.registry import load_registry
from resources.embedding.servers import build_client
from resources.errors import BreakerOpenError, EmbeddingUnavailableError
from resources.orchestration.server_watch import ServerWatch
from resources.postgres import items
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import Settings
from tests.builders import make_job, make_worker
from tests.database import Database
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.valkey import running_valkey
from tests.rows import begin, claim_all, store_document

WAITING = (
    "SELECT i.waiting_reason FROM cixml.work_queue q JOIN cixml.job_items i ON i.id = q.item_id "
    "WHERE q.ready_at > now()"
)


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(dimension=384) as found:
        yield found


@pytest.fixture
def settings(database: Database, server: EmbeddingServer) -> Iterator[Settings]:
    with running_valkey() as valkey:
        yield database.settings(
            redis_url=valkey.url,
            embedding_api_base_url=server.base_url,
            embedding={"breaker_reset_seconds": 0.3, "query_timeout_seconds": 0.5},
        )


def wait_in_the_queue(owner: psycopg.Connection[Any], pipeline: PipelineDatabase, reason: str) -> None:
    """Leave a page in the queue that has come as far as its chunks, to be tried again in two minutes."""
    make_job(owner, f"https://example.com/{reason}")
    [claimed] = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    store_document(pipeline, batch, reason.encode(), reason)
    owner.execute("UPDATE cixml.job_items SET status = 'embedding' WHERE finished_at IS NULL AND status <> 'queued'")
    with pipeline.transaction() as connection:
        ids = [row[0] for row in connection.execute("SELECT item_id FROM cixml.leases")]
        items.release(
            connection, batch_id=batch.batch_id, item_ids=ids, delay_seconds=120, reason=reason, counts_attempt=False
        )


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def open_breaker(settings: Settings) -> None:
    """Ask until no more may be asked, as runs and searches do."""
    redis = make_async_client(settings.require(settings.redis_url, "REDIS_URL"))
    model = load_registry(settings.embedding.models_file).enabled[0]
    client, breaker = build_client(settings, model, Scripts(redis))
    while (await breaker.state()).state is BreakerState.CLOSED:
        with suppress(EmbeddingUnavailableError):
            await client.embed(["x"], operation="read")
    await client.aclose()
    await redis.aclose()


def test_what_waits_for_a_server_is_woken_when_it_is_back(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, settings: Settings, server: EmbeddingServer
) -> None:
    make_worker(owner)
    for reason in (BreakerOpenError.code, EmbeddingUnavailableError.code, "host_paused"):
        wait_in_the_queue(owner, pipeline, reason)
    with closing(ServerWatch(settings)) as watch:
        watch.step()
        assert owner.execute(WAITING).rowcount == 3, "no server was away"
        server.go_down()
        asyncio.run(open_breaker(settings))
        watch.step()
        assert owner.execute(WAITING).rowcount == 3
        server.come_back()

        def is_woken() -> bool:
            watch.step()
            return owner.execute(WAITING).rowcount < 3

        until(is_woken)
    assert owner.execute(WAITING).fetchall() == [("host_paused",)]
    assert owner.execute("SELECT count(*) FROM cixml.job_items WHERE next_attempt_at > now()").fetchone() == (1,)
