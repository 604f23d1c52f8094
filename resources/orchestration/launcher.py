"""Starts runs in warm workers: one Celery message with the run's id, nothing else.

No resume and no health check: a worker's liveness is its heartbeat in Postgres, and lifeline closes what died.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import Field, StringSource
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from resources.orchestration import tags
from resources.orchestration.celery_app import EXECUTE_RUN, make_celery


class WarmRunLauncher(RunLauncher, ConfigurableClass):
    """The `run_launcher` of dagster.yaml. The queue is the run's `cixml/queue` tag."""

    def __init__(self, broker: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._celery = make_celery(broker)
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster leaves it untyped

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        return {"broker": Field(StringSource, description="Redis URL of the Celery broker")}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> WarmRunLauncher:
        return cls(config_value["broker"], inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        self._celery.send_task(
            EXECUTE_RUN,
            args=[run.run_id],
            task_id=run.run_id,
            queue=run.tags.get(tags.QUEUE, tags.BACKFILL_QUEUE),
            ignore_result=True,
        )

    def terminate(self, run_id: str) -> bool:
        """Interrupt the step under way: the run ends as cancelled and gives its items back to the queue."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        self._celery.control.revoke(run_id, terminate=True)
        return True

    def dispose(self) -> None:
        self._celery.close()
