"""The gauges that are read from the databases: all that are named, by the API's login, over all callers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest_asyncio

from resources.postgres import state
from resources.postgres.pool import connected
from resources.postgres.state import state_numbers
from resources.telemetry.state_gauges import GAUGES
from tests.api import BOB, Api, running_api
from tests.database import Database, database, postgres_server  # noqa: F401  # fixtures


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:  # noqa: F811
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


async def read(api: Api) -> dict[tuple[str, str], float]:
    async with connected(api.app.state.services.pool) as connection:
        return {(row.metric, row.label): row.number for row in await state_numbers(connection)}


async def test_all_numbers_are_named_and_count_all_callers(api: Api, database: Database) -> None:  # noqa: F811
    for key in ("key-of-alice", BOB):
        urls = [f"https://{key}.example.com/{number}" for number in range(2)]
        assert (await api.post("/v1/jobs", {"corpus": "docs", "urls": urls}, key=key)).status_code == 202
    push = {"corpus": "docs", "documents": [{"external_id": "a", "text": "Some text."}]}
    assert (await api.post("/v1/jobs", push)).status_code == 202
    with psycopg.connect(database.pipeline_url, autocommit=True) as pipeline:
        state.beat(pipeline, part=state.LIFELINE)
        pipeline.execute("INSERT INTO cixml.workers (id, queues, slots) VALUES ('w', '{ingest,backfill}', 3)")
    found = await read(api)
    assert {metric for metric, _ in found} <= set(GAUGES)
    assert found["cixml_queue_depth", "scraping"] == 4
    assert found["cixml_queue_depth", "chunking"] == 1
    assert found["cixml_queue_depth", "embedding"] == 0
    assert found["cixml_queue_oldest_seconds", "scraping"] > 0
    assert found["cixml_jobs", "queued"] == 3
    assert found["cixml_jobs", "failed"] == 0
    assert found["cixml_callers_waiting", ""] == 2
    assert found["cixml_workers", "ingest"] == 1
    assert found["cixml_worker_slots", "backfill"] == 3
    assert 0 <= found["cixml_heartbeat_age_seconds", "lifeline"] < 60
    assert found["cixml_postgres_connections", ""] >= 2
    assert found["cixml_postgres_connections_limit", ""] > 10
    assert found["cixml_postgres_database_bytes", database.name] > 1_000_000
    assert ("cixml_postgres_dead_rows", "work_queue") in found


async def test_an_open_transaction_of_another_login_is_seen(api: Api, database: Database) -> None:  # noqa: F811
    with psycopg.connect(database.pipeline_url) as pipeline:
        pipeline.execute("SELECT 1")
        began = time.monotonic()
        while (await read(api))["cixml_postgres_oldest_transaction_seconds", ""] < 0.2:
            assert time.monotonic() - began < 10
    assert (await read(api))["cixml_postgres_oldest_transaction_seconds", ""] < time.monotonic() - began
