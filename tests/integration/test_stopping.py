"""What a run gives back when its worker stops: without a try, at once, also when its process has to be left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from resources.errors import DatabaseUnavailableError
from resources.orchestration import draining
from resources.orchestration.lease import Lease
from resources.postgres import batches
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import PipelineSettings
from tests.builders import make_job, make_worker
from tests.database import Database
from tests.integration.test_pipeline_rows import begin, claim_all

QUEUED = (
    "SELECT i.status, i.attempts, i.waiting_reason, q.ready_at <= now() FROM cixml.job_items i "
    "JOIN cixml.work_queue q ON q.item_id = i.id"
)


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        make_worker(connection)
        make_job(connection, "https://example.com/a")
        yield connection


@pytest.fixture
def lease(database: Database, owner: psycopg.Connection[Any]) -> Iterator[Lease]:
    """A run's lease of the only job's item."""
    pipeline = PipelineDatabase(database.pipeline_url)
    (claimed,) = claim_all(pipeline)
    found = Lease(
        begin(pipeline, claimed.batch_id),
        "run-1",
        database=pipeline,
        heartbeat=PipelineDatabase(database.pipeline_url),
        settings=PipelineSettings(),
    )
    yield found
    found.close()
    pipeline.close()


def test_a_run_cut_short_by_the_stop_counts_no_try(
    owner: psycopg.Connection[Any], lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "is_time_to_give_back", lambda: True)
    lease.close()
    assert owner.execute(QUEUED).fetchall() == [("queued", 0, "worker_stopping", True)]


def test_a_run_cut_short_by_an_outage_of_postgres_says_so_and_counts_no_try(
    owner: psycopg.Connection[Any], lease: Lease
) -> None:
    with pytest.raises(DatabaseUnavailableError), lease.transaction() as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    lease.close()
    assert owner.execute(QUEUED).fetchall() == [("queued", 0, "database_unavailable", True)]


def test_a_run_that_ends_early_by_itself_counts_its_try(owner: psycopg.Connection[Any], lease: Lease) -> None:
    lease.close()
    assert owner.execute(QUEUED).fetchall() == [("queued", 1, None, True)]


def test_a_process_that_is_left_has_given_back_and_lifeline_closes_its_batch(
    database: Database, owner: psycopg.Connection[Any], lease: Lease
) -> None:
    another = PipelineDatabase(database.pipeline_url)
    lease.leave(another)
    assert owner.execute(QUEUED).fetchall() == [("queued", 0, "worker_stopping", True)]
    with another.transaction() as connection:
        found = batches.expired(connection)
    assert found is not None
    assert found.run_id == "run-1"
    another.close()
