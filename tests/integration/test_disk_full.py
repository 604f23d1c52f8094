"""Postgres without room, or read-only: callers are told to come back, no item counts a try, all goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from resources.errors import StorageFullError
from resources.orchestration import lease as leases
from resources.orchestration.lease import Lease
from resources.postgres import pages
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import PipelineSettings
from tests.api import running_api
from tests.builders import make_job, make_page, make_worker
from tests.database import Database
from tests.integration.test_api_outages import JOB, is_ready, until
from tests.integration.test_pipeline_rows import begin, claim_all

NO_ROOM = """
CREATE OR REPLACE FUNCTION cixml.no_room() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$
"""


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute(NO_ROOM)
        yield connection


def fill(owner: psycopg.Connection[Any], table: str) -> None:
    owner.execute(f"CREATE TRIGGER no_room BEFORE INSERT ON cixml.{table} EXECUTE FUNCTION cixml.no_room()".encode())


def make_room(owner: psycopg.Connection[Any], table: str) -> None:
    owner.execute(f"DROP TRIGGER no_room ON cixml.{table}".encode())


async def test_without_room_a_submission_is_told_to_come_back_and_reading_goes_on(
    database: Database, owner: psycopg.Connection[Any], tmp_path: Path
) -> None:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as api:
        await until(lambda: is_ready(api))
        fill(owner, "job_items")
        answer = await api.post("/v1/jobs", JOB)
        assert (answer.status_code, answer.json()["error_code"]) == (503, "cixml_job_create_505")
        assert answer.json()["retryable"] is True
        assert answer.headers["retry-after"] == "30"
        assert (await api.get("/v1/jobs")).json()["content"] == []
        make_room(owner, "job_items")
        assert (await api.post("/v1/jobs", JOB)).status_code == 202


async def test_a_read_only_postgres_is_503_and_the_api_connects_anew_to_the_one_that_writes(
    database: Database, owner: psycopg.Connection[Any], tmp_path: Path
) -> None:
    owner.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on".encode())
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json", "pool_size": 1})) as api:
        await until(lambda: is_ready(api))
        answer = await api.post("/v1/jobs", JOB)
        assert (answer.status_code, answer.json()["error_code"]) == (503, "cixml_job_create_501")
        owner.execute("SET default_transaction_read_only = off")
        owner.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only".encode())

        async def is_accepted() -> bool:
            return (await api.post("/v1/jobs", JOB)).status_code == 202

        await until(is_accepted)


def test_a_run_without_room_waits_and_gives_back_without_a_try(
    database: Database, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "OUTAGE_PAUSE_SECONDS", 0.05)
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    pipeline = PipelineDatabase(database.pipeline_url)
    (claimed,) = claim_all(pipeline)
    lease = Lease(
        begin(pipeline, claimed.batch_id),
        "run-1",
        database=pipeline,
        heartbeat=PipelineDatabase(database.pipeline_url),
        settings=PipelineSettings(),
    )
    with lease.reading() as connection:
        (item,) = pages.fetch_items(connection, batch_id=claimed.batch_id)
    for table in ("page_bodies", "work_queue"):
        fill(owner, table)
    with pytest.raises(StorageFullError), lease.transaction() as connection:
        pages.store_pages(connection, [(item, make_page())])
    closing = threading.Thread(target=lease.close)
    closing.start()
    closing.join(timeout=0.3)
    assert closing.is_alive(), "it did not wait for room"
    make_room(owner, "work_queue")
    closing.join(timeout=10)
    rows = owner.execute(
        "SELECT i.status, i.attempts FROM cixml.job_items i JOIN cixml.work_queue q ON q.item_id = i.id"
    )
    assert rows.fetchall() == [("queued", 0)]
    pipeline.close()
