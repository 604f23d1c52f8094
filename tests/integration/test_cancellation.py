"""A cancelled job on real rows: the lease's own thread, a run in the middle of its work, and two who come at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from resources.orchestration.lease import Lease
from resources.postgres import items, pages
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import PipelineSettings
from resources.types import JobStatus
from tests.builders import make_job, make_page, make_worker
from tests.database import Database
from tests.integration.test_pipeline_rows import begin, claim_all, embed_and_flip, store_document
from tests.integration.test_state_machines import cancelling

SETTINGS = PipelineSettings(heartbeat_seconds=0.1)
URLS = ("https://example.com/a", "https://example.com/b")
Cancel = Callable[[str, UUID], JobStatus | None]


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        make_worker(connection)
        yield connection


@pytest.fixture
def pipeline(database: Database) -> Iterator[PipelineDatabase]:
    found = PipelineDatabase(database.pipeline_url)
    yield found
    found.close()


@pytest.fixture
def cancel(database: Database) -> Iterator[Cancel]:
    with cancelling(database.api_url) as found:
        yield found


def status_of(owner: psycopg.Connection[Any], job_id: UUID) -> str:
    row = owner.execute("SELECT status FROM cixml.jobs WHERE id = %s", [job_id]).fetchone()
    assert row is not None
    return str(row[0])


def test_the_lease_ends_cancelled_items_by_its_next_beat_and_the_run_stops_working_on_them(
    database: Database, owner: psycopg.Connection[Any], pipeline: PipelineDatabase, cancel: Cancel
) -> None:
    job = make_job(owner, *URLS)
    other = make_job(owner, "https://example.com/c")  # in the same batch
    (claimed,) = claim_all(pipeline)
    lease = Lease(
        begin(pipeline, claimed.batch_id),
        "run-1",
        database=pipeline,
        heartbeat=PipelineDatabase(database.pipeline_url),
        settings=SETTINGS,
    )
    assert cancel("c_a", job.job_id) is JobStatus.CANCELLING
    deadline = time.monotonic() + 5
    while status_of(owner, job.job_id) != "cancelled":
        assert time.monotonic() < deadline, "the lease does not end what was cancelled"
        time.sleep(0.02)
    assert not any(map(lease.wants, job.item_ids))
    assert all(map(lease.wants, other.item_ids))
    lease.close()
    assert owner.execute("SELECT item_id FROM cixml.work_queue").fetchall() == [(other.item_ids[0],)]


def test_a_job_cancelled_before_its_run_began_is_not_worked_on(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, cancel: Cancel
) -> None:
    job = make_job(owner, *URLS)
    (claimed,) = claim_all(pipeline)
    assert cancel("c_a", job.job_id) is JobStatus.CANCELLING
    begin(pipeline, claimed.batch_id)
    with pipeline.transaction() as connection:
        ended = items.end_cancelled(connection, batch_id=claimed.batch_id)
        assert pages.fetch_items(connection, batch_id=claimed.batch_id) == []
    assert {item.item_id for item in ended} == set(job.item_ids)
    assert status_of(owner, job.job_id) == "cancelled"


def test_what_a_run_writes_after_the_cancel_is_not_indexed_and_what_was_whole_stays(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, cancel: Cancel
) -> None:
    job = make_job(owner, *URLS)
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    hashes = store_document(pipeline, batch, b"body", "one two", "three four")
    embed_and_flip(pipeline, batch, hashes, job.item_ids[:1])
    assert cancel("c_a", job.job_id) is JobStatus.CANCELLING
    with pipeline.transaction() as connection:
        items.end_cancelled(connection, batch_id=batch.batch_id)
    assert embed_and_flip(pipeline, batch, [], job.item_ids[1:]) == []
    rows = owner.execute(
        "SELECT i.status, d.live_version_id IS NOT NULL FROM cixml.job_items i "
        "JOIN cixml.documents d ON d.id = i.document_id ORDER BY i.ordinal"
    ).fetchall()
    assert rows == [("indexed", True), ("cancelled", False)]
    assert owner.execute("SELECT status, items_open, items_good FROM cixml.jobs").fetchone() == ("cancelled", 0, 1)


def test_a_page_that_comes_after_the_cancel_leaves_its_item_alone(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, cancel: Cancel
) -> None:
    job = make_job(owner, *URLS)
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    with pipeline.transaction() as connection:
        waiting = pages.fetch_items(connection, batch_id=batch.batch_id)
    cancel("c_a", job.job_id)
    with pipeline.transaction() as connection:
        items.end_cancelled(connection, batch_id=batch.batch_id)
    with pipeline.transaction() as connection:
        pages.store_pages(connection, [(item, make_page(b"late", url=item.url)) for item in waiting])
    assert owner.execute("SELECT DISTINCT status FROM cixml.job_items").fetchall() == [("cancelled",)]
    assert owner.execute("SELECT count(*) FROM cixml.documents").fetchone() == (0,)


@pytest.mark.parametrize("cancel_is_first", [True, False])
def test_an_item_that_is_given_back_while_its_job_is_cancelled_ends(
    database: Database,
    owner: psycopg.Connection[Any],
    pipeline: PipelineDatabase,
    cancel: Cancel,
    cancel_is_first: bool,
) -> None:
    job = make_job(owner, *URLS)
    (claimed,) = claim_all(pipeline)
    begin(pipeline, claimed.batch_id)
    statuses: list[JobStatus | None] = []
    late = threading.Thread(target=lambda: statuses.append(cancel("c_a", job.job_id)))
    if cancel_is_first:
        cancel("c_a", job.job_id)
    with pipeline.transaction() as connection:
        items.release(
            connection,
            batch_id=claimed.batch_id,
            item_ids=job.item_ids,
            delay_seconds=0,
            reason="breaker_open",
            counts_attempt=False,
        )
        if not cancel_is_first:
            late.start()
            wait_for_lock(owner)
    if not cancel_is_first:
        late.join()
        assert statuses == [JobStatus.CANCELLED]
    assert status_of(owner, job.job_id) == "cancelled"
    assert owner.execute("SELECT count(*) FROM cixml.work_queue").fetchone() == (0,)
    assert owner.execute("SELECT DISTINCT status FROM cixml.job_items").fetchall() == [("cancelled",)]


def wait_for_lock(owner: psycopg.Connection[Any]) -> None:
    """Wait until somebody waits for a lock."""
    deadline = time.monotonic() + 10
    while owner.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is None:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.02)


def test_a_cancel_of_nothing_and_of_what_is_over_changes_nothing(
    owner: psycopg.Connection[Any], cancel: Cancel
) -> None:
    job = make_job(owner, *URLS)
    assert cancel("c_a", UUID(int=1)) is None
    assert cancel("c_b", job.job_id) is None
    assert cancel("c_a", job.job_id) is JobStatus.CANCELLED
    before = owner.execute("SELECT version, finished_at FROM cixml.jobs").fetchone()
    assert cancel("c_a", job.job_id) is JobStatus.CANCELLED
    assert owner.execute("SELECT version, finished_at FROM cixml.jobs").fetchone() == before
