"""What each entry point calls first: logs in one form, and spans that have somewhere to go."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

from resources.settings import Settings
from resources.telemetry import trace_export
from resources.telemetry.logs import configure_logging

logger = logging.getLogger("cixml.process")


def begin(settings: Settings, service: str) -> None:
    """Set up the telemetry of this process, once; `service` is its name in traces, logs and profiles.

    Nothing is opened here: a process that forks afterwards shares nothing with its children.
    """
    configure_logging(
        settings.log_level, json=settings.telemetry.logs == "json", secrets=settings.secrets(), service=service
    )
    logging.captureWarnings(True)  # the library's own signature
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    trace_export.configure(settings, service)


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
