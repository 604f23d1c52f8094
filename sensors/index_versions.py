"""Turns index versions that are asked for into runs that fill them, or let them serve: one of each at a time.

Each evaluation waits on LISTEN, as the sensors of submitted jobs do, so that a request is begun within seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import dagster as dg
from dagster import DagsterInstance
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from resources.errors import DatabaseUnavailableError
from resources.orchestration import tags
from resources.orchestration.runtime import runtime
from resources.postgres import index_builds
from resources.postgres.database import Database
from resources.postgres.index_builds import DueBuild
from resources.postgres.listening import listen, wait_for_work
from resources.telemetry import tracing
from sensors.attempts import next_attempts

LONGEST_LOOK_SECONDS = 5.0
"""A pause after a failure, and a place in the window, end without a notification."""
LEAST_LOOK_SECONDS = 0.5
"""Every submitted job notifies, too."""
Jobs = Mapping[str, UnresolvedAssetJobDefinition]
logger = logging.getLogger("cixml.sensor")


def index_versions_sensor(jobs: Jobs, partitions: dg.DynamicPartitionsDefinition) -> dg.SensorDefinition:
    """Return the sensor. `jobs` has the job that fills an index version of each model."""

    @dg.sensor(
        name="index_versions_sensor",
        jobs=list(jobs.values()),
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run for each index version that is to be filled, or to serve.",
    )
    def index_versions_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        database = runtime().new_database()
        try:
            due, found = _wait(database, context.instance, jobs)
        except DatabaseUnavailableError as error:
            logger.warning("%s", error.message)
            return dg.SkipReason(error.message)
        finally:
            database.close()
        if not found:
            return dg.SkipReason("No index version waits to be filled, or to serve.")
        keys = sorted({each.partition_key for each in due})
        return dg.SensorResult(run_requests=found, dynamic_partitions_requests=[partitions.build_add_request(keys)])

    return index_versions_sensor


def _wait(database: Database, instance: DagsterInstance, jobs: Jobs) -> tuple[list[DueBuild], list[dg.RunRequest]]:
    deadline = time.monotonic() + runtime().settings.pipeline.sensor_wait_seconds
    with database.session() as connection:
        listen(connection)  # before the first look, or a notification is lost
    while True:
        with database.transaction() as connection:
            due = [each for each in index_builds.due(connection) if each.model in jobs]
        found = next_runs(instance, due, jobs, now=time.time())
        left = deadline - time.monotonic()
        if found or left <= 0:
            return due, found
        with database.session() as connection:
            wait_for_work(connection, seconds=min(left, LONGEST_LOOK_SECONDS))
        time.sleep(min(max(left, 0.0), LEAST_LOOK_SECONDS))


def next_runs(instance: DagsterInstance, due: list[DueBuild], jobs: Jobs, *, now: float) -> list[dg.RunRequest]:
    """Return the runs to start now: a pass that left something to do is followed at once."""

    def request(each: DueBuild, after: str) -> dg.RunRequest:
        trace = tracing.trace_id(each.traceparent) if tracing.is_on() else None
        return dg.RunRequest(
            run_key=f"index_version:{each.index_version_id}:{after}",
            job_name=jobs[each.model].name,
            tags={
                tags.INDEX_VERSION: str(each.index_version_id),
                tags.CORPUS: each.partition_key,
                tags.PARTITION: each.partition_key,
                tags.MAX_RETRIES: "0",
            }
            | ({tags.TRACE: trace} if trace else {}),
        )

    return next_attempts(instance, due, tag=tags.INDEX_VERSION, request=request, now=now, goes_on_after_success=True)
