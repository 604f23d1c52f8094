"""What a run says on the console: errors and warnings, in our form. All of it is in Dagster's event log anyway.

Dagster gives each run a logger with a handler of its own, which knows neither our form nor what must not be shown. A
logger among the definitions is only used by runs whose configuration names it, which those from the UI do not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import dagster as dg
from dagster._core.execution import context_creation_job


@dg.logger({})
def run_logger(_: dg.InitLoggerContext) -> logging.Logger:
    """Return a logger that hands on to the root what is wrong."""
    logger = logging.getLogger("cixml.run")
    logger.setLevel(logging.WARNING)
    return logger


def install() -> None:
    """Give it to every run of this process."""
    context_creation_job.default_system_loggers = _ours  # type: ignore[attr-defined,assignment]  # it is not meant to be


def _ours(_: dg.DagsterInstance | None) -> Sequence[tuple[dg.LoggerDefinition, dict[str, object]]]:
    return [(run_logger, {})]
