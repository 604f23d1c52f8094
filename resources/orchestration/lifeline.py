"""`python -m resources.orchestration.lifeline`: gives back the work of runs that died, and closes their Dagster runs.

Beside that, never before it, it removes what was deleted (deletion.py) and what has aged (retention.py), keeps what
keyword search needs (lexemes.py), and wakes what waits for an embedding server that is back (server_watch.py).
Not a job of the queue it rescues. More than one may run: the advisory lock lets one work at a time.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from resources.errors import CixmlError, DatabaseUnavailableError
from resources.orchestration import tags
from resources.orchestration.batch_trace import BatchTrace
from resources.orchestration.deletion import Sweeper
from resources.orchestration.lease import give_up, observe
from resources.orchestration.lexemes import LexemeKeeper
from resources.orchestration.retention import Retention
from resources.orchestration.runtime import Runtime, runtime
from resources.orchestration.server_watch import ServerWatch
from resources.postgres import batches, locks, state, traced
from resources.postgres.batches import ExpiredBatch
from resources.postgres.traced import TracedBuild, TracedItem
from resources.telemetry import exporter, metrics, process, tracing
from resources.types import BatchState

SWEEP_SECONDS = 30.0
UNREQUESTED_SHARE = 0.25
"""A claim's run is asked for within a second; one without run or request after this share of its limit is lost."""
NOTED_SECONDS = 120.0
"""How long a request that a tick has noted may wait for its launch: a code server's restart, with room to spare."""
UNCLAIMED_RUN_SECONDS = 300.0
"""A run of the UI or a backfill opens its batch in its first step: one without after so long has died before."""
UNDER_WAY = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
CUT_SHORT = (TickStatus.STARTED, TickStatus.FAILURE)
BEGUN = (DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
logger = logging.getLogger("cixml.lifeline")


class Lifeline:
    """One look at a time; `run` looks every `reaper_seconds` until it is told to stop."""

    def __init__(self, parts: Runtime, instance: DagsterInstance) -> None:
        self._parts = parts
        self._instance = instance
        self._settings = parts.settings.pipeline
        self._retention = Retention(parts.settings)
        self._sweeper = Sweeper(parts.settings, instance)
        self._lexemes = LexemeKeeper(parts.settings)
        self._servers = ServerWatch(parts.settings)
        self._swept_at = 0.0

    def run(self, stopped: threading.Event) -> None:
        """Look until `stopped`. An outage of Postgres is waited out."""
        while not stopped.wait(self._settings.reaper_seconds):
            try:
                self.look()
            except DatabaseUnavailableError as error:
                logger.warning("%s", error.message)

    def close(self) -> None:
        self._sweeper.close()
        self._retention.close()
        self._lexemes.close()
        self._servers.close()

    def look(self) -> None:
        """Reap expired batches and close their runs; now and then sweep runs whose end nobody reported.

        Deletions, retention and lexemes have their turns last, and beside: a slow slice does not keep the next look.
        """
        with self._parts.database.session() as connection:
            if not locks.try_lock(connection, key=locks.LIFELINE):
                return
            state.beat(connection, part=state.LIFELINE)
        self.lapse()
        for batch in self.reap():
            self._close_run_of(batch)
        if time.monotonic() - self._swept_at > SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            self.sweep()
        self._sweeper.step_aside()
        self._retention.step_aside()
        self._lexemes.step_aside()
        self._servers.step_aside()

    def lapse(self) -> None:
        """Let claims expire that have no run, or one that could not be launched: they hold the slots of others.

        When the daemon dies, the sensors it was waiting for claim once more in the code server, for nobody. But what a
        tick has noted is launched as soon as the code server is back: such a claim keeps its time until then.
        """
        dispatch = self._settings.dispatch_seconds
        with self._parts.database.transaction() as connection:
            waiting = batches.claims_older_than(connection, seconds=UNREQUESTED_SHARE * dispatch)
        if not waiting:
            return
        noted = self._noted_run_keys()  # before the look for runs: one that is made meanwhile is seen there
        for claim in waiting:
            runs = self._instance.get_runs(RunsFilter(tags={tags.BATCH: str(claim.batch_id)}))
            with self._parts.database.transaction() as connection:
                if str(claim.batch_id) in noted and claim.age_seconds < NOTED_SECONDS:
                    batches.prolong_claim(connection, batch_id=claim.batch_id, seconds=dispatch)
                elif all(run.is_finished for run in runs):
                    batches.lapse(connection, batch_id=claim.batch_id)

    def _noted_run_keys(self) -> set[str]:
        """Return the run keys of requests that Dagster still launches: those of a sensor's last tick, cut short."""
        found: set[str] = set()
        for sensor in self._instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            for tick in self._instance.get_ticks(sensor.instigator_origin_id, sensor.selector_id, limit=1):
                if tick.status in CUT_SHORT:
                    found |= {request.run_key or "" for _, request in tick.unsubmitted_run_ids_with_requests}
        return found

    def reap(self) -> list[ExpiredBatch]:
        """Give the items of expired batches back, a transaction each; return those batches."""
        reaped: list[ExpiredBatch] = []
        while (batch := self._reap_one()) is not None:
            metrics.rescued.inc()
            logger.warning("batch %s was %s and stopped beating: its items are back", batch.batch_id, batch.state)
            reaped.append(batch)
        return reaped

    def _reap_one(self) -> ExpiredBatch | None:
        with self._parts.database.transaction() as connection:
            batch = batches.expired(connection)
            if batch is None:
                return None
            items = traced.items(connection, batch_ids=[batch.batch_id])
            build = traced.build(connection, batch_id=batch.batch_id)
            ended = give_up(connection, batch.batch_id, BatchState.LOST, self._settings)
        observe(ended)
        _tell_lost(batch, items, build)
        return batch

    def sweep(self) -> None:
        """Close runs that are under way for Dagster although their batch has ended, or that never made one."""
        now = datetime.now(UTC)
        before = now - timedelta(seconds=2 * self._settings.dispatch_seconds)
        records = self._instance.get_run_records(RunsFilter(statuses=UNDER_WAY, updated_before=before), limit=100)
        with self._parts.database.transaction() as connection:
            known = batches.of_runs(connection, run_ids=[record.dagster_run.run_id for record in records])
        for record in records:
            run, found = record.dagster_run, known.get(record.dagster_run.run_id)
            if found is not None:
                is_dead = found.is_over and found.finished_at is not None and found.finished_at < before
            elif tags.BATCH in run.tags:
                is_dead = True
            else:
                silent = now - record.update_timestamp.replace(tzinfo=UTC)
                is_dead = run.status in BEGUN and silent > timedelta(seconds=UNCLAIMED_RUN_SECONDS)
            if is_dead:
                self._close(run)

    def _close_run_of(self, batch: ExpiredBatch) -> None:
        """Close the run of a lost batch; one that never began is found by its tag."""
        found = (
            RunsFilter(run_ids=[batch.run_id]) if batch.run_id else RunsFilter(tags={tags.BATCH: str(batch.batch_id)})
        )
        for run in self._instance.get_runs(found):
            self._close(run)

    def _close(self, run: DagsterRun) -> None:
        if run.is_finished:
            return
        message = "Its worker stopped beating; what it had not finished went back to the queue."
        if run.status == DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, message)
        else:
            self._instance.report_run_failed(run, message)
        logger.warning("run %s is closed", run.run_id)


def _tell_lost(batch: ExpiredBatch, items: Sequence[TracedItem], build: TracedBuild | None) -> None:
    """End the spans that the batch's run left open, in the traces of the requests it still worked for."""
    if items:
        trace = BatchTrace(batch.batch_id, items, corpus=items[0].corpus_name, queue=tags.INGEST_QUEUE)
    elif build:
        caused_by = build.traceparent
        trace = BatchTrace(batch.batch_id, (), corpus=build.corpus_name, queue=tags.BACKFILL_QUEUE, caused_by=caused_by)
    else:
        return
    trace.end_lost("worker_lost" if batch.run_id else "not_begun")


def main() -> int:
    """Run until SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        parts = runtime()
        process.begin(parts.settings, "cixml-lifeline")
        exporter.start(parts.settings.pipeline.metrics_host, parts.settings.pipeline.metrics_port)
        with DagsterInstance.get() as instance, closing(Lifeline(parts, instance)) as lifeline:
            lifeline.run(stopped)
        tracing.flush()
    except CixmlError as error:
        sys.stderr.write(f"lifeline: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
