"""Decides when a run starts: batch runs at once (their claim was the admission), all others through Dagster's queue.

So a backfill of 500 corpora waits in the queue, where waiting costs nothing, instead of timing out in STARTING.
"""

from __future__ import annotations

from dagster import DagsterRun, QueuedRunCoordinator
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.storage.dagster_run import DagsterRunStatus

from resources.orchestration import tags


class BatchRunCoordinator(QueuedRunCoordinator):
    """The `run_coordinator` of dagster.yaml."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Launch a run that carries a batch; tag and queue any other."""
        run = context.dagster_run
        if tags.BATCH in run.tags and run.status == DagsterRunStatus.NOT_STARTED:
            self._instance.launch_run(run.run_id, context.workspace)
            return self._instance.get_run_by_id(run.run_id) or run
        self._instance.add_run_tags(run.run_id, {tags.QUEUE: tags.BACKFILL_QUEUE})
        return super().submit_run(context)
