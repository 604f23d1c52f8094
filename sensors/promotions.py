"""Turns index versions that wait to be built into runs: one per corpus at a time, again until the build is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

import dagster as dg
from dagster import DagsterInstance
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from resources.errors import DatabaseUnavailableError
from resources.orchestration import tags
from resources.orchestration.runtime import runtime
from resources.postgres import promotions
from resources.postgres.promotions import DuePromotion
from sensors.attempts import next_attempts

INTERVAL_SECONDS = 10
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
                due = promotions.due(connection, quiet_seconds=settings.promote_quiet_seconds)
        except DatabaseUnavailableError as error:
            logger.warning("%s", error.message)
            return dg.SkipReason(error.message)
        finally:
            database.close()
        found = next_runs(context.instance, due, now=time.time())
        return dg.SensorResult(run_requests=found) if found else dg.SkipReason("No index waits to be built.")

    return promotions_sensor


def next_runs(instance: DagsterInstance, due: Iterable[DuePromotion], *, now: float) -> list[dg.RunRequest]:
    """Return the builds to start now."""
    return next_attempts(instance, due, tag=tags.PROMOTION, request=_request, now=now, goes_on_after_success=False)


def _request(due: DuePromotion, after: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"promotion:{due.index_version_id}:{after}",
        tags={
            tags.PROMOTION: str(due.index_version_id),
            tags.CORPUS: due.partition_key,
            tags.PARTITION: due.partition_key,
            tags.MAX_RETRIES: "0",
        },
    )
