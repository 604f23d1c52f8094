"""`python -m resources.orchestration.worker`: executes runs in pre-loaded Celery children.

The parent imports the definitions before it forks, so a run pays no import; each child keeps one DagsterInstance
(building it per run costs 122 of 395 ms). The parent's row in `workers` says that it lives and how many runs it takes.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery
from celery.signals import (
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)
from celery.utils.log import get_multiprocessing_logger
from dagster import DagsterInstance
from dagster._cli.api import _execute_run_command_body
from dagster._core.code_pointer import CodePointer
from dagster._core.definitions.reconstruct import reconstruct_repository_def_from_pointer
from dagster._core.storage.dagster_run import DagsterRunStatus

from resources.errors import CixmlError
from resources.orchestration import draining, run_log, tags, work
from resources.orchestration.celery_app import EXECUTE_RUN, make_celery
from resources.orchestration.memory import return_large_blocks
from resources.orchestration.watchdog import Watchdog
from resources.postgres import workers
from resources.postgres.database import OUTAGES
from resources.settings import Settings
from resources.telemetry import exporter, process, tracing

HEARTBEAT_SECONDS = 5.0
DEFINITIONS = "cixml_assets.definitions"
logger = logging.getLogger("cixml.worker")


class RunExecutor:
    """What one child keeps between runs."""

    def __init__(self, *, stall_seconds: float) -> None:
        self._instance: DagsterInstance | None = None
        self._watchdog = Watchdog(stall_seconds=stall_seconds, give_back=work.leave_all)

    def open(self, **_: object) -> None:
        """Build the instance once per child, after the fork: an engine must not cross it."""
        self._instance = DagsterInstance.get()

    def execute(self, run_id: str) -> None:
        """Execute one run to its end. A message that comes twice, or late, finds its run no longer STARTING."""
        if self._instance is None:
            self.open()
        instance = self._instance
        assert instance is not None
        run = instance.get_run_by_id(run_id)
        if run is None or run.status not in (DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED):
            logger.warning("run %s is not to be started: %s", run_id, run.status if run else "unknown")
            return
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with self._watchdog.watching(run_id):
                _execute_run_command_body(
                    instance=instance, run_id=run_id, write_stream_fn=lambda _: None, set_exit_code_on_failure=True
                )
        finally:
            tracing.flush(0.0)  # beside the next run: the process may be killed before it ends
            signal.signal(signal.SIGTERM, handler)  # Dagster leaves it as SIGINT's, which Celery's children ignore


class Presence:
    """Keeps the worker's row fresh from the parent's event loop; a thread here would be open at every fork."""

    def __init__(self, url: str, worker_id: str, queues: list[str], slots: int) -> None:
        self._url, self._id, self._queues, self._slots = url, worker_id, queues, slots
        self._has_left = False

    def beat(self) -> None:
        if self._has_left:
            return
        try:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=2) as connection:
                workers.beat(connection, worker_id=self._id, queues=self._queues, slots=self._slots)
        except OUTAGES as error:
            logger.warning("the worker's row is not renewed: %s", error)

    def leave(self) -> None:
        """Take no more runs from here on; those under way end, or give back what they can't do in time."""
        self._has_left = True
        draining.begin()
        try:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=2) as connection:
                workers.leave(connection, worker_id=self._id)
        except OUTAGES as error:
            logger.warning("the worker's row stays until it ages: %s", error)


def _share_logging(**_: object) -> None:
    """Let Celery set up no log of its own: what it says of a child that was killed is a line like all others."""
    pool = get_multiprocessing_logger()
    pool.setLevel(logging.ERROR)
    pool.propagate = True


def build(settings: Settings, *, queues: list[str], slots: int) -> Celery:
    """Return the application with its task, its presence and its child set-up."""
    app = make_celery(settings.require(settings.redis_url, "REDIS_URL"))
    executor = RunExecutor(stall_seconds=settings.pipeline.stall_seconds)
    presence = Presence(
        settings.require(settings.pipeline.database_url, "CIXML_PIPELINE__DATABASE_URL"),
        f"{socket.gethostname()}:{os.getpid()}",
        queues,
        slots,
    )
    app.task(executor.execute, name=EXECUTE_RUN)
    setup_logging.connect(_share_logging, weak=False)
    worker_process_init.connect(executor.open, weak=False)
    worker_process_shutdown.connect(lambda **_: tracing.flush(), weak=False)

    def ready(sender: Any, **_: object) -> None:
        exporter.start(settings.pipeline.metrics_host, settings.pipeline.metrics_port)
        presence.beat()
        sender.timer.call_repeatedly(HEARTBEAT_SECONDS, presence.beat)

    worker_ready.connect(ready, weak=False)
    worker_shutting_down.connect(lambda **_: presence.leave(), weak=False)
    return app


def preload() -> None:
    """Load in the parent all that a run needs, so that a forked child is ready at once, also after another was killed.

    The instance is closed before any fork: only its modules (SQLAlchemy among them, seconds of imports) are to stay.
    """
    pointer = CodePointer.from_module(DEFINITIONS, "defs", str(Path.cwd()))
    reconstruct_repository_def_from_pointer(pointer, None).get_all_jobs()
    with DagsterInstance.get():
        pass
    gc.collect()
    gc.freeze()  # what was imported is never looked through again, and its pages stay shared with the children


def main(arguments: list[str] | None = None) -> int:
    """Run a worker until SIGTERM."""
    parser = argparse.ArgumentParser(description="Execute Dagster runs in warm processes.")
    parser.add_argument("--queues", default=f"{tags.INGEST_QUEUE},{tags.BACKFILL_QUEUE}", help="in order of preference")
    parser.add_argument("--slots", type=int, help="runs at once (CIXML_PIPELINE__WORKER_SLOTS)")
    options = parser.parse_args(arguments)
    try:
        settings = Settings.load()
        process.begin(settings, "cixml-worker")
        slots = options.slots or settings.pipeline.worker_slots
        app = build(settings, queues=options.queues.split(","), slots=slots)
    except CixmlError as error:
        sys.stderr.write(f"worker: {error.message}\n")
        return 1
    return_large_blocks()
    run_log.install()
    preload()
    app.worker_main(
        [
            "--quiet",  # no banner: it is no log line
            "worker",
            "--pool=prefork",
            f"--concurrency={slots}",
            f"--queues={options.queues}",
            f"--hostname=worker-{os.getpid()}@{socket.gethostname()}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=WARNING",
        ]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
