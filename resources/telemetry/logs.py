"""Logging of the whole product: one handler on stderr, one line a record, the trace and the job on each, no secrets.

`configure_logging` is called once by each process (process.py). Loggers are named `cixml.<part>`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from opentelemetry import trace

_job_id: ContextVar[str | None] = ContextVar("cixml_job_id", default=None)

_REDACTED = "[redacted]"
_SECRET_PATTERNS = (
    re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"),
    re.compile(
        r"(?i)((?:api[-_]?key|authorization|password|passwd|secret|pepper|token)[\"']?)(\s*[=:]\s*[\"']?)[^\s\"',;&}]+"
    ),
    re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@]*)(:)[^\s/@]+(?=@)"),
)
_NOISY_LOGGERS = ("alembic", "httpx", "httpx2", "httpcore", "httpcore2", "openai", "urllib3", "asyncio")


@contextmanager
def job_context(job_id: str | None) -> Iterator[None]:
    """Put this job's id on every line logged inside, in this thread or task and those it starts."""
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


class Redactor:
    """Takes secrets out of text: the given values wherever they stand, and what looks like a credential."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= 6}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def redact(self, text: str) -> str:
        if self._known:
            text = self._known.sub(_REDACTED, text)
        for pattern in _SECRET_PATTERNS:
            text = pattern.sub(rf"\1\2{_REDACTED}", text)
        return text


class RedactionFilter(logging.Filter):
    """Rewrites a record's message and traceback before a formatter sees them; adds what it is part of."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._redactor.redact(_message_of(record))
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self._redactor.redact(record.exc_text)
        record.trace_id, record.span_id = current_ids()
        record.job_id = getattr(record, "job_id", None) or current_job_id()
        return True


def _message_of(record: logging.LogRecord) -> str:
    """Return the message, also of a line whose arguments do not fit: a filter that raises would end its caller."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} (its arguments do not fit)"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, service, logger, message, trace_id, span_id, job_id; error if any."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            "trace_id": getattr(record, "trace_id", None),
            "span_id": getattr(record, "span_id", None),
            "job_id": getattr(record, "job_id", None),
        }
        if record.exc_text:
            line["error"] = record.exc_text
        return json.dumps(line, ensure_ascii=False)


class TerminalFormatter(logging.Formatter):
    """The same for a reader: time, level, logger, message, then the job and trace where known."""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        known = [f"{name}={value}" for name in ("job_id", "trace_id") if (value := getattr(record, name, None))]
        line = " ".join([clock, f"{record.levelname:7}", f"{record.name}:", record.getMessage(), *known])
        return f"{line}\n{record.exc_text}" if record.exc_text else line


def configure_logging(level: str, *, json: bool, secrets: Iterable[str] = (), service: str = "cixml") -> None:
    """Send all logging to stderr in one form. `secrets` are values that must never appear, whatever the text says.

    May be called again: it replaces its own handler and leaves those of others (a test's capture) alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name("cixml")
    handler.setFormatter(JsonFormatter(service) if json else TerminalFormatter())
    handler.addFilter(RedactionFilter(Redactor(secrets)))
    root = logging.getLogger()
    for old in [each for each in root.handlers if each.get_name() == "cixml"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def current_ids() -> tuple[str, str] | tuple[None, None]:
    """Return the running trace's and span's ids, 32 and 16 hex digits; None outside of one."""
    context = trace.get_current_span().get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else (None, None)


def current_job_id() -> str | None:
    """Return the id of the job that is worked on here; None outside of one, and where it is several jobs at once."""
    return _job_id.get()
