"""What each entry point calls first: logs in one form, and spans that have somewhere to go."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

from resources.settings import Settings
from resources.telemetry import profiling, trace_export
from resources.telemetry.logs import configure_logging

logger = logging.getLogger("cixml.process")


def begin(settings: Settings, service: str, *, forks: bool = False) -> None:
    """Set up the telemetry of this process, once; `service` is its name in traces, logs and profiles.

    One that `forks` opens nothing here: its children share nothing with it, and start their own profiles.
    """
    configure_logging(
        settings.log_level, json=settings.telemetry.logs == "json", secrets=settings.secrets(), service=service
    )
    logging.captureWarnings(True)  # the library's own signature
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    trace_export.configure(settings, service)
    if not forks:
        profiling.start(settings, service)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what ends the process, with nothing secret in its traceback."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logger.critical("the process ends by an error nobody caught", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    error = given.exc_value
    if error is not None:
        name = given.thread.name if given.thread else "?"
        logger.critical("the thread %s ends by an error nobody caught", name, exc_info=error)
