"""Transactions that take the same locks never wait for each other crosswise, and none waits where it need not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import dagster as dg
import psycopg
import pytest

from resources.errors import ChunkingError, CixmlError
from resources.orchestration.chunk_io_manager import ChunkIOManager
from resources.orchestration.lease import Lease
from resources.orchestration.streams import ChunkOutcome, ChunkStream
from resources.postgres import batches, claims, corpus_lock, items, pages, promotions, usage
from resources.postgres.chunks import ChunkedVersion
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.pages import HostPause
from resources.postgres.queries import query
from tests.builders import make_job, make_page, make_worker
from tests.database import Database
from tests.rows import begin, claim_all, extracted

Owner = psycopg.Connection[Any]
WAIT_SECONDS = 20.0


@pytest.fixture
def other(database: Database) -> Iterator[PipelineDatabase]:
    found = PipelineDatabase(database.pipeline_url)
    yield found
    found.close()


class Beside:
    """Something that runs in a thread of its own; `join` raises what it raised."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run, args=[act])
        self._thread.start()

    def _run(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (psycopg.Error, CixmlError) as error:
            self._errors.append(error)

    def join(self) -> None:
        self._thread.join(timeout=WAIT_SECONDS)
        assert not self._thread.is_alive()
        if self._errors:
            raise self._errors[0]


def wait_until_blocked(owner: Owner) -> None:
    """Wait until a transaction of the pipeline waits for a lock."""
    deadline = time.monotonic() + WAIT_SECONDS
    while owner.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def test_two_runs_hold_the_same_hosts_in_whatever_order_their_answers_came(
    owner: Owner, pipeline: PipelineDatabase, other: PipelineDatabase
) -> None:
    made = make_job(owner, *(f"https://example.com/{number}" for number in range(3)))
    owner.execute("UPDATE cixml.job_items SET host = url")
    pauses = [HostPause(item_id=item_id, seconds=5.0, reason="http_429") for item_id in made.item_ids]
    start = threading.Barrier(2)

    def hold(database: PipelineDatabase, given: list[HostPause]) -> None:
        for _ in range(50):
            start.wait(timeout=WAIT_SECONDS)
            with database.transaction() as connection:
                pages.hold_hosts(connection, given)

    second = Beside(lambda: hold(other, pauses[::-1]))
    hold(pipeline, pauses)
    second.join()
    assert owner.execute("SELECT count(*) FROM cixml.hosts").fetchone() == (3,)


def test_a_host_is_held_for_the_longest_pause_that_it_asked_for(owner: Owner, pipeline: PipelineDatabase) -> None:
    made = make_job(owner, "https://example.com/a", "https://example.com/b")
    pauses = [
        HostPause(item_id=made.item_ids[0], seconds=60.0, reason="http_503"),
        HostPause(item_id=made.item_ids[1], seconds=5.0, reason="http_429"),
    ]
    with pipeline.transaction() as connection:
        pages.hold_hosts(connection, pauses)
    found = owner.execute("SELECT reason, not_before > now() + interval '50 seconds' FROM cixml.hosts").fetchall()
    assert found == [("http_503", True)]


def test_a_claim_passes_by_what_a_cancel_is_about_to_take(
    owner: Owner, pipeline: PipelineDatabase, other: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    kept = make_job(owner, "https://example.com/b")
    with other.transaction() as cancelling:
        parameters = {"job_id": job.job_id, "caller_id": "c_a"}
        cancelling.execute(query("lock_job"), parameters)
        cancelling.execute(query("cancel_job"), parameters)
        with pipeline.transaction() as connection:
            connection.execute("SET LOCAL lock_timeout = '2s'")
            claimed = claims.claim_batch(
                connection,
                corpus_id=job.corpus_id,
                item_ids=[*job.item_ids, *kept.item_ids],
                dispatch_seconds=30,
            )
    leased = owner.execute("SELECT l.item_id, b.items FROM cixml.leases l JOIN cixml.batches b ON b.id = l.batch_id")
    assert leased.fetchall() == [(kept.item_ids[0], 1)]
    assert claimed is not None
    status = owner.execute("SELECT status FROM cixml.jobs WHERE id = %s", [job.job_id]).fetchone()
    assert status == ("cancelled",)


def test_a_run_that_begins_locks_the_jobs_in_the_order_of_all_others(
    owner: Owner, pipeline: PipelineDatabase, other: PipelineDatabase
) -> None:
    """Its first job is being cancelled, its second waits; another transaction ends items of both."""
    make_worker(owner)
    jobs = [make_job(owner, f"https://example.com/{name}") for name in "ab"]
    [claimed] = claim_all(pipeline)
    owner.execute("UPDATE cixml.jobs SET status = 'cancelling' WHERE id = %s", [jobs[0].job_id])

    def begin() -> None:
        with other.transaction() as connection:
            batches.begin(connection, batch_id=claimed.batch_id, run_id="run-1", lease_seconds=15)
            items.end_cancelled(connection, batch_id=claimed.batch_id)

    with pipeline.transaction() as connection:
        items.lock_jobs(connection, jobs[0].item_ids)
        beginning = Beside(begin)
        wait_until_blocked(owner)
        items.lock_jobs(connection, jobs[1].item_ids)
    beginning.join()
    status = owner.execute("SELECT status FROM cixml.jobs ORDER BY id").fetchall()
    assert status == [("cancelled",), ("running",)]


def test_claims_do_not_wait_for_a_build_that_waits_for_its_corpus(
    owner: Owner, pipeline: PipelineDatabase, other: PipelineDatabase
) -> None:
    corpus_id: UUID = make_job(owner, "https://example.com/a").corpus_id

    def build() -> None:
        with other.transaction() as connection:
            promotions.open_build(connection, corpus_id=corpus_id, run_id="run-1", lease_seconds=15)

    with pipeline.transaction() as connection:
        assert corpus_lock.take(connection, corpus_id=corpus_id, wait_seconds=1.0)
        building = Beside(build)
        wait_until_blocked(owner)
        connection.execute("SET LOCAL lock_timeout = '2s'")
        claims.lock_claims(connection)
    building.join()


def test_pages_that_fail_and_new_ones_of_another_job_are_stored_in_the_order_of_all_others(
    owner: Owner, pipeline: PipelineDatabase, other: PipelineDatabase, database: Database
) -> None:
    """The failed page's usage is counted last: meanwhile another run ends items of the second job, and counts too."""
    make_worker(owner)
    failing, found = (make_job(owner, f"https://example.com/{name}") for name in "ab")
    owner.execute("UPDATE cixml.job_items SET depth = 1 WHERE job_id = %s", [found.job_id])
    [claimed] = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    with pipeline.transaction() as connection:
        waiting = pages.fetch_items(connection, batch_id=batch.batch_id)
        pages.store_pages(connection, [(item, make_page(item.url.encode(), url=item.url)) for item in waiting])
        version = batch.serving
        owed = pages.versions_to_chunk(connection, batch_id=batch.batch_id, chunking_fp=version.chunking_fp)
    assert {each.item_id for each in owed} == {*failing.item_ids, *found.item_ids}
    outcomes = [
        ChunkOutcome(version=each, error=ChunkingError("no_text", "there is none"))
        if each.item_id in failing.item_ids
        else ChunkOutcome(version=each, chunked=ChunkedVersion(version=each, document=extracted("a text")))
        for each in owed
    ]
    heartbeat = PipelineDatabase(database.pipeline_url)
    lease = Lease(batch, "run-1", database=other, heartbeat=heartbeat, settings=database.settings().pipeline)

    context = dg.build_output_context()
    stream = ChunkStream(lease=lease, index=version, outcomes=outcomes)
    with pipeline.transaction() as connection:
        items.lock_jobs(connection, found.item_ids)
        storing = Beside(lambda: ChunkIOManager().handle_output(context, stream))
        wait_until_blocked(owner)
        usage.count_texts(connection, corpus_id=batch.corpus_id, model_id=version.model_id, paid={"c_a": 3})
    storing.join()
    lease.close()
    heartbeat.close()
    failed = owner.execute("SELECT status FROM cixml.job_items WHERE job_id = %s", [failing.job_id]).fetchall()
    assert failed == [("failed",)]
