"""Items, batches and jobs under every order of claim, begin, beat, end, release, cancel, death and reaping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from psycopg_pool import AsyncConnectionPool

from resources.errors import LeaseLostError
from resources.orchestration.lease import give_up
from resources.postgres import batches, items
from resources.postgres.cancellation import cancel_job
from resources.postgres.items import ItemEnd
from resources.postgres.pool import Pool, caller_transaction
from resources.settings import PipelineSettings
from resources.types import BatchState, ItemStatus, JobStatus, Stage
from sensors.submitted_jobs import claim
from tests.builders import make_job, make_worker
from tests.database import Database

SETTINGS = PipelineSettings(max_attempts=3, small_batch_items=2, batch_items=4)
CALLERS = ("c_a", "c_b")
URLS = tuple(f"https://example.com/{number}" for number in range(5))
OPEN = ("queued", "scraping", "chunking", "embedding")


class Lives(RuleBasedStateMachine):
    """What may happen to submitted work. Runs are only their ids here."""

    owner: psycopg.Connection[Any]
    pipeline: psycopg.Connection[Any]
    api: Callable[[str, UUID], JobStatus | None]
    jobs = Bundle("jobs")
    claimed = Bundle("claimed")
    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.owner.execute(
            "TRUNCATE cixml.jobs, cixml.job_items, cixml.work_queue, cixml.batches, cixml.leases, cixml.corpora, "
            "cixml.index_versions, cixml.workers CASCADE"
        )
        make_worker(self.owner, slots=2)
        self.ended: dict[UUID, str] = {}
        self.ends: dict[UUID, tuple[str, Any]] = {}
        self.cancelled: set[UUID] = set()

    @rule(
        target=jobs,
        caller=st.sampled_from(CALLERS),
        urls=st.lists(st.sampled_from(URLS), min_size=1, max_size=4, unique=True),
    )
    def submit(self, caller: str, urls: list[str]) -> tuple[str, UUID]:
        return caller, make_job(self.owner, *urls, caller=caller).job_id

    @rule(job=jobs)
    def cancel(self, job: tuple[str, UUID]) -> None:
        (before,) = self._one("SELECT status FROM cixml.jobs WHERE id = %s", job[1])
        stranger = next(caller for caller in CALLERS if caller != job[0])
        assert self.api(stranger, job[1]) is None
        assert self._one("SELECT status FROM cixml.jobs WHERE id = %s", job[1]) == (before,)
        after = self.api(*job)
        if JobStatus(before).is_terminal:
            assert after == before
        else:
            assert after in (JobStatus.CANCELLING, JobStatus.CANCELLED)
            self.cancelled.add(job[1])

    @rule(run=running)
    def cancel_what_a_run_works_on(self, run: tuple[UUID, str]) -> None:
        row = self.owner.execute(
            "SELECT j.caller_id, j.id FROM cixml.leases l JOIN cixml.job_items i ON i.id = l.item_id "
            "JOIN cixml.jobs j ON j.id = i.job_id WHERE l.batch_id = %s LIMIT 1",
            [run[0]],
        ).fetchone()
        if row is not None:
            self.cancel(row)

    @rule(target=claimed)
    def claim(self) -> Any:
        with self.pipeline.transaction():
            found, _ = claim(self.pipeline, SETTINGS, models=["all-MiniLM-L6-v2"])
        return multiple(*[batch.batch_id for batch in found])

    @rule(target=running, batch_id=consumes(claimed))
    def begin(self, batch_id: UUID) -> Any:
        run_id = str(uuid4())
        try:
            with self.pipeline.transaction():
                batches.begin(self.pipeline, batch_id=batch_id, run_id=run_id, lease_seconds=15)
        except LeaseLostError:
            return multiple()  # the reaper was first
        return (batch_id, run_id)

    @rule(
        target=running, caller=st.sampled_from(CALLERS), urls=st.lists(st.sampled_from(URLS), min_size=2, unique=True)
    )
    def submit_and_begin(self, caller: str, urls: list[str]) -> Any:
        """The common way in one step: else most of what is drawn has no run to act on."""
        self.submit(caller, urls)
        with self.pipeline.transaction():
            found, _ = claim(self.pipeline, SETTINGS, models=["all-MiniLM-L6-v2"])
        return multiple(*[self.begin(batch.batch_id) for batch in found])

    @rule(run=running)
    def beat(self, run: tuple[UUID, str]) -> None:
        """What the lease's thread does: renew, then end what was cancelled."""
        with self.pipeline.transaction():
            is_ours = batches.beat(self.pipeline, batch_id=run[0], run_id=run[1], lease_seconds=15)
        assert is_ours == (self._state(run[0]) == "running")
        if is_ours:
            with self.pipeline.transaction():
                batches.fence(self.pipeline, batch_id=run[0], run_id=run[1])
                items.end_cancelled(self.pipeline, batch_id=run[0])
            assert items.cancelled(self.pipeline, batch_id=run[0]) == []

    @rule(run=running)
    def a_late_writer_changes_no_row(self, run: tuple[UUID, str]) -> None:
        """A run whose batch was taken over forgets the fence: even so its items are no longer its own."""
        if self._state(run[0]) == "running":
            return
        before = self._all_rows()
        with self.pipeline.transaction():
            item_ids = [row[0] for row in self.pipeline.execute("SELECT id FROM cixml.job_items")]
            items.end(
                self.pipeline,
                batch_id=run[0],
                ends=[ItemEnd(item_id=item_id, status=ItemStatus.INDEXED) for item_id in item_ids],
            )
            items.release(
                self.pipeline,
                batch_id=run[0],
                item_ids=item_ids,
                delay_seconds=0,
                reason="late",
                counts_attempt=False,
            )
            assert not batches.beat(self.pipeline, batch_id=run[0], run_id=run[1], lease_seconds=15)
        assert self._all_rows() == before

    @rule(run=running, status=st.sampled_from([ItemStatus.INDEXED, ItemStatus.UNCHANGED, ItemStatus.FAILED]))
    def end_one(self, run: tuple[UUID, str], status: ItemStatus) -> None:
        self._write(run, lambda item: self._end(run[0], item, status))

    @rule(run=running, counts=st.booleans())
    def release_one(self, run: tuple[UUID, str], counts: bool) -> None:
        self._write(
            run,
            lambda item: items.release(
                self.pipeline,
                batch_id=run[0],
                item_ids=[item.item_id],
                delay_seconds=0,
                reason="breaker_open",
                counts_attempt=counts and item.attempts < SETTINGS.max_attempts,  # as a fetch does: its limit is lower
            ),
        )

    @rule(run=consumes(running))
    def finish(self, run: tuple[UUID, str]) -> None:
        try:
            with self.pipeline.transaction():
                batches.fence(self.pipeline, batch_id=run[0], run_id=run[1])
                give_up(self.pipeline, run[0], BatchState.DONE, SETTINGS)
        except LeaseLostError:
            assert self._state(run[0]) in ("lost", "done")

    @rule(leases_end=st.booleans())
    def reap(self, leases_end: bool) -> None:
        if leases_end:  # time passes, and workers die
            self.owner.execute(
                "UPDATE cixml.batches SET lease_until = now() - interval '1 second' WHERE finished_at IS NULL"
            )
        with self.pipeline.transaction():
            while (batch := batches.expired(self.pipeline)) is not None:
                give_up(self.pipeline, batch.batch_id, BatchState.LOST, SETTINGS)
        self.owner.execute("UPDATE cixml.work_queue SET ready_at = now()")

    @invariant()
    def every_open_item_is_in_the_queue_or_under_a_lease_and_in_one_only(self) -> None:
        rows = self.owner.execute(
            "SELECT i.id FROM cixml.job_items i WHERE (i.finished_at IS NULL) <> ("
            "  (SELECT count(*) FROM cixml.work_queue q WHERE q.item_id = i.id)"
            "  + (SELECT count(*) FROM cixml.leases l WHERE l.item_id = i.id) = 1)"
        ).fetchall()
        assert rows == []

    @invariant()
    def jobs_count_their_items_and_end_with_the_last(self) -> None:
        rows = self.owner.execute(
            "SELECT j.id, j.status, j.items_open, count(*) FILTER (WHERE i.finished_at IS NULL),"
            "  j.items_good, count(*) FILTER (WHERE i.status IN ('indexed', 'unchanged')),"
            "  j.items_failed, count(*) FILTER (WHERE i.status = 'failed') "
            "FROM cixml.jobs j JOIN cixml.job_items i ON i.job_id = j.id GROUP BY j.id"
        ).fetchall()
        for job_id, status, open_items, really_open, good, really_good, failed, really_failed in rows:
            assert (open_items, good, failed) == (really_open, really_good, really_failed)
            assert JobStatus(status).is_terminal == (open_items == 0)
            if job_id in self.cancelled:
                assert status == ("cancelled" if open_items == 0 else "cancelling")
            elif open_items == 0:
                assert status == ("succeeded" if not failed else "failed" if not good else "partial")

    @invariant()
    def a_job_ends_once(self) -> None:
        ends = {
            row[0]: (row[1], row[2])
            for row in self.owner.execute(
                "SELECT id, status, finished_at FROM cixml.jobs WHERE finished_at IS NOT NULL"
            ).fetchall()
        }
        assert all(ends[job_id] == end for job_id, end in self.ends.items())
        self.ends = ends

    @invariant()
    def nothing_of_a_cancelling_job_waits(self) -> None:
        rows = self.owner.execute(
            "SELECT q.item_id FROM cixml.work_queue q JOIN cixml.job_items i ON i.id = q.item_id "
            "JOIN cixml.jobs j ON j.id = i.job_id WHERE j.status IN ('cancelling', 'cancelled')"
        ).fetchall()
        assert rows == []

    @invariant()
    def an_ended_item_never_changes(self) -> None:
        rows = dict(
            self.owner.execute("SELECT id, status FROM cixml.job_items WHERE finished_at IS NOT NULL").fetchall()
        )
        assert all(rows[item_id] == status for item_id, status in self.ended.items())
        assert all(status not in OPEN for status in rows.values())
        self.ended = rows

    @invariant()
    def attempts_are_bounded(self) -> None:
        row = self.owner.execute("SELECT coalesce(max(attempts), 0), coalesce(min(attempts), 0) FROM cixml.job_items")
        most, least = row.fetchone()  # type: ignore[misc]
        assert 0 <= least <= most <= SETTINGS.max_attempts

    @invariant()
    def leases_belong_to_open_batches(self) -> None:
        row = self.owner.execute(
            "SELECT count(*) FROM cixml.leases l JOIN cixml.batches b ON b.id = l.batch_id "
            "WHERE b.finished_at IS NOT NULL"
        )
        assert row.fetchone() == (0,)

    def _write(self, run: tuple[UUID, str], change: Any) -> None:
        """Do what a run does to its first open item, behind the fence."""
        try:
            with self.pipeline.transaction():
                batches.fence(self.pipeline, batch_id=run[0], run_id=run[1])
                for item in batches.open_items(self.pipeline, batch_id=run[0])[:1]:
                    change(item)
        except LeaseLostError:
            assert self._state(run[0]) in ("lost", "done")

    def _end(self, batch_id: UUID, item: batches.OpenItem, status: ItemStatus) -> None:
        is_failed = status is ItemStatus.FAILED
        items.end(
            self.pipeline,
            batch_id=batch_id,
            ends=[
                ItemEnd(
                    item_id=item.item_id,
                    status=status,
                    failed_stage=Stage.SCRAPING if is_failed else None,
                    error={"code": "http_4xx"} if is_failed else None,
                )
            ],
        )

    def _state(self, batch_id: UUID) -> str:
        return str(self._one("SELECT state FROM cixml.batches WHERE id = %s", batch_id)[0])

    def _one(self, statement: str, row_id: UUID) -> tuple[Any, ...]:
        row = self.owner.execute(statement.encode(), [row_id]).fetchone()
        assert row is not None
        return tuple(row)

    def _all_rows(self) -> list[Any]:
        tables = ("jobs", "job_items", "work_queue", "leases", "batches")
        return [self.owner.execute(f"SELECT * FROM cixml.{table} ORDER BY 1, 2").fetchall() for table in tables]


@contextmanager
def cancelling(url: str) -> Iterator[Callable[[str, UUID], JobStatus | None]]:
    """Return the API's cancel over its own login: its transaction, its rights, its row-level security."""
    pool: Pool = AsyncConnectionPool(url, open=False, min_size=1, max_size=1, kwargs={"autocommit": True})

    async def cancel(caller: str, job_id: UUID) -> JobStatus | None:
        async with caller_transaction(pool, caller) as connection:
            cancelled = await cancel_job(connection, caller_id=caller, job_id=job_id)
            return cancelled.status if cancelled else None

    with asyncio.Runner() as runner:
        runner.run(pool.open())
        try:
            yield lambda caller, job_id: runner.run(cancel(caller, job_id))
        finally:
            runner.run(pool.close())


def test_no_order_of_events_loses_doubles_or_strands_an_item(database: Database) -> None:
    with (
        psycopg.connect(database.owner_url, autocommit=True) as owner,
        psycopg.connect(database.pipeline_url, autocommit=True) as pipeline,
        cancelling(database.api_url) as api,
    ):
        machine = type("BoundLives", (Lives,), {"owner": owner, "pipeline": pipeline, "api": staticmethod(api)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=40,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
            ),
        )
