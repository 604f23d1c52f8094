"""Turns queued items into runs. Each evaluation waits on LISTEN: the daemon's own loop can't be faster than 5 s.

Several copies, since one that has just returned is armed again only at the next turn of that loop; one of eight is
always listening (with four, a burst waited up to 1.4 s).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from psycopg import Connection
from psycopg.rows import TupleRow

from resources import fail_points
from resources.errors import DatabaseUnavailableError
from resources.orchestration import tags
from resources.orchestration.batch_trace import tell_claimed, trace_of_batch
from resources.orchestration.runtime import runtime
from resources.postgres import claims, traced
from resources.postgres.claims import ClaimedBatch
from resources.postgres.database import Database
from resources.postgres.listening import listen, wait_for_work
from resources.settings import PipelineSettings
from resources.telemetry import tracing
from sensors.planning import most_claimable, plan_batches

COPIES = 8
LONGEST_LOOK_SECONDS = 5.0
"""A slot that a dead worker held, or a host's pause that another process set, sends no notification: look again."""
Jobs = Mapping[str, UnresolvedAssetJobDefinition]
_kept = threading.local()
logger = logging.getLogger("cixml.sensor")


def submitted_jobs_sensors(*, jobs: Jobs, partitions: dg.DynamicPartitionsDefinition) -> list[dg.SensorDefinition]:
    """Return the copies of the sensor. `jobs` has the job of each model."""
    requests = RunRequests(jobs, partitions)
    return [_sensor(number, requests) for number in range(1, COPIES + 1)]


class RunRequests:
    """Makes run requests of claimed batches, and asks for their partitions: known ones stay as they are."""

    def __init__(self, jobs: Jobs, partitions: dg.DynamicPartitionsDefinition) -> None:
        self.jobs = jobs
        self._partitions = partitions

    def of(self, claimed: Sequence[ClaimedBatch], traces: Mapping[UUID, str]) -> dg.SensorResult:
        """Return one run per batch. The run key is the batch's id: a repeated tick launches nothing twice.

        `traces` has the trace of each batch, where spans are recorded.
        """
        keys = sorted({batch.partition_key for batch in claimed})
        return dg.SensorResult(
            run_requests=[self._request(batch, traces.get(batch.batch_id)) for batch in claimed],
            dynamic_partitions_requests=[self._partitions.build_add_request(keys)],
        )

    def _request(self, batch: ClaimedBatch, trace: str | None) -> dg.RunRequest:
        """The partition goes in as a tag: `partition_key` would look it up through an instance of its own."""
        return dg.RunRequest(
            run_key=str(batch.batch_id),
            job_name=self.jobs[batch.model].name,
            tags={
                tags.BATCH: str(batch.batch_id),
                tags.CORPUS: batch.partition_key,
                tags.PARTITION: batch.partition_key,
                tags.QUEUE: tags.INGEST_QUEUE,
                tags.MAX_RETRIES: "0",
            }
            | ({tags.TRACE: trace} if trace else {}),
        )


def _sensor(number: int, requests: RunRequests) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"submitted_jobs_sensor_{number}",
        jobs=list(requests.jobs.values()),
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Claims submitted pages by fair share over callers; starts a run for each batch of a corpus.",
    )
    def submitted_jobs_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings = runtime().settings.pipeline
        try:
            claimed = wait_and_claim(_database(), settings, models=requests.jobs.keys())
        except DatabaseUnavailableError as error:
            logger.warning("%s", error.message)
            return dg.SkipReason(error.message)
        if not claimed:
            return dg.SkipReason("Nothing was submitted.")
        fail_points.reach(fail_points.CLAIM_COMMITTED)
        return requests.of(claimed, _traces(_database(), claimed))

    return submitted_jobs_sensor


def _traces(database: Database, claimed: Sequence[ClaimedBatch]) -> dict[UUID, str]:
    """Tell the traces of the claimed jobs that their wait is over; return the trace of each batch."""
    if not tracing.is_on():
        return {}
    try:
        with database.transaction() as connection:
            items = traced.items(connection, batch_ids=[batch.batch_id for batch in claimed])
    except DatabaseUnavailableError as error:  # the claim is committed: runs need no trace to begin
        logger.warning("the claim of %s batches is in no trace: %s", len(claimed), error)
        return {}
    tell_claimed(items)
    return {
        batch.batch_id: trace_of_batch(batch.batch_id, [item for item in items if item.batch_id == batch.batch_id])
        for batch in claimed
    }


def wait_and_claim(database: Database, settings: PipelineSettings, *, models: Iterable[str]) -> list[ClaimedBatch]:
    """Claim what can run now, or wait for work up to `sensor_wait_seconds` and claim then."""
    deadline = time.monotonic() + settings.sensor_wait_seconds
    with database.session() as connection:
        listen(connection)  # before the first look, or a notification is lost
    while True:
        with database.transaction() as connection:
            claimed, pause = claim(connection, settings, models=models)
        left = deadline - time.monotonic()
        if claimed or left <= 0:
            return claimed
        with database.session() as connection:
            wait_for_work(connection, seconds=min(left, pause))


def claim(
    connection: Connection[TupleRow], settings: PipelineSettings, *, models: Iterable[str]
) -> tuple[list[ClaimedBatch], float]:
    """Claim batches in this transaction; also return the seconds after which another look could find something."""
    claims.lock_claims(connection)
    capacity = claims.capacity(connection, small_batch_items=settings.small_batch_items)
    limit = most_claimable(capacity, batch_items=settings.batch_items)
    items = claims.claimable_items(connection, models=list(models), limit=limit) if limit else []
    planned = plan_batches(
        items, capacity, small_batch_items=settings.small_batch_items, batch_items=settings.batch_items
    )
    claimed = [
        batch
        for each in planned
        if (
            batch := claims.claim_batch(
                connection,
                corpus_id=each.corpus_id,
                item_ids=each.item_ids,
                dispatch_seconds=settings.dispatch_seconds,
            )
        )
    ]
    next_ready = claims.seconds_to_next(connection)
    return claimed, min(LONGEST_LOOK_SECONDS, LONGEST_LOOK_SECONDS if next_ready is None else next_ready + 0.01)


def _database() -> Database:
    """Return this thread's LISTEN connection: after the daemon died, a copy may be evaluated twice at once."""
    if not hasattr(_kept, "database"):
        _kept.database = runtime().new_database()
    database: Database = _kept.database
    return database
