"""Ends a worker's child that can't end by itself: one that hangs, or one that is still busy when its worker must go.

A thread that hangs in a read can't be interrupted, a process can be left. Lifeline then takes the batch over.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resources.orchestration import draining, progress
from resources.telemetry import metrics, tracing

LOOK_SECONDS = 1.0
FROZEN_SECONDS = 120.0
"""When not even this thread runs for so long (the interpreter is locked), a timer in C ends the process."""
GIVE_BACK_SECONDS = 5.0
STALLED, LEFT = 70, 71
"""Exit codes."""
logger = logging.getLogger("cixml.watchdog")


class Watchdog:
    """Watches the runs of one process. `give_back` is called, on another thread, before a process leaves a drain."""

    def __init__(self, *, stall_seconds: float, give_back: Callable[[], None]) -> None:
        self._stall_seconds = stall_seconds
        self._give_back = give_back

    @contextmanager
    def watching(self, run_id: str) -> Iterator[None]:
        """Watch until the run has ended."""
        progress.mark()
        is_over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(run_id, is_over), name="cixml-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            faulthandler.cancel_dump_traceback_later()

    def _watch(self, run_id: str, is_over: threading.Event) -> None:
        while not is_over.wait(LOOK_SECONDS):
            faulthandler.dump_traceback_later(FROZEN_SECONDS, exit=True, file=sys.__stderr__ or sys.stderr)
            if progress.idle_seconds() > self._stall_seconds:
                logger.error("run %s made no progress for %.0f s: its process ends", run_id, progress.idle_seconds())
                metrics.stalled.inc()
                faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr)
                tracing.flush()
                os._exit(STALLED)
            if draining.is_time_to_leave():
                logger.warning("run %s is not over %.0f s after the stop: it is left", run_id, draining.seconds())
                giving = threading.Thread(target=self._give_back, daemon=True)
                giving.start()
                giving.join(GIVE_BACK_SECONDS)
                tracing.flush()
                os._exit(LEFT)
