"""Turns index versions that wait to be built into runs: one per corpus at a time, again until the build is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

import dagster as dg
from dagster import DagsterInstance, RunRecord, RunsFilter
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from resources.errors import DatabaseUnavailableError
from resources.orchestration import tags
from resources.orchestration.runtime import runtime
from resources.postgres import promotions
from resources.postgres.promotions import DuePromotion

INTERVAL_SECONDS = 10
MOST_AT_ONCE = 20
"""Runs of this sensor that wait in Dagster's queue or work."""
MOST_ATTEMPTS_READ = 10
RETRY_SECONDS = 30.0
RETRY_CAP_SECONDS = 3600.0
logger = logging.getLogger("cixml.sensor")


def promotions_sensor(job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor. It looks every 10 s: a corpus that waits for its index is searched exactly meanwhile."""

    @dg.sensor(
        name="promotions_sensor",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts the build of an HNSW index for each corpus that outgrew the exact scan and is quiet.",
    )
    def promotions_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings = runtime().settings.search
        database = runtime().new_database()
        try:
            with database.transaction() as connection:
                due = promotions.due(
                    connection,
                    promote_rows=settings.promote_rows,
                    quiet_seconds=settings.promote_quiet_seconds,
                )
        except DatabaseUnavailableError as error:
            logger.warning("%s", error.message)
            return dg.SkipReason(error.message)
        finally:
            database.close()
        found = next_runs(context.instance, due, now=time.time())
        return dg.SensorResult(run_requests=found) if found else dg.SkipReason("No index waits to be built.")

    return promotions_sensor


def next_runs(instance: DagsterInstance, due: Iterable[DuePromotion], *, now: float) -> list[dg.RunRequest]:
    """Return the next attempts, so that MOST_AT_ONCE are under way. What rests after a failure keeps none waiting."""
    found: list[dg.RunRequest] = []
    under_way = 0
    for each in due:
        if len(found) + under_way >= MOST_AT_ONCE:
            break
        attempts = _attempts(instance, each)
        if any(not attempt.dagster_run.is_finished for attempt in attempts):
            under_way += 1
        elif not _rests(attempts, now):
            found.append(_request(each, attempts))
    return found


def _attempts(instance: DagsterInstance, due: DuePromotion) -> Sequence[RunRecord]:
    return instance.get_run_records(
        RunsFilter(tags={tags.PROMOTION: str(due.index_version_id)}), limit=MOST_ATTEMPTS_READ
    )


def _request(due: DuePromotion, attempts: Sequence[RunRecord]) -> dg.RunRequest:
    """Run keys are remembered: each names the attempt before it, so a repeated tick starts nothing twice."""
    last = attempts[0].dagster_run.run_id if attempts else "first"
    return dg.RunRequest(
        run_key=f"promotion:{due.index_version_id}:{last}",
        tags={
            tags.PROMOTION: str(due.index_version_id),
            tags.CORPUS: due.partition_key,
            tags.PARTITION: due.partition_key,
            tags.MAX_RETRIES: "0",
        },
    )


def _rests(attempts: Sequence[RunRecord], now: float) -> bool:
    """Return whether it is too early for another attempt: each that failed doubles the pause."""
    if not attempts:
        return False
    pause = min(RETRY_CAP_SECONDS, RETRY_SECONDS * 2.0 ** (len(attempts) - 1))
    return now - attempts[0].update_timestamp.timestamp() < pause
