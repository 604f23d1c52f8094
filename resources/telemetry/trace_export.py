"""Where the spans of a process go: nowhere, to files, or to an OTLP endpoint (ADR 24).

Files are written as each span ends, so a kill loses only the spans that were open. To an endpoint they go in batches,
from a thread; while it does not answer spans are dropped, counted, and nobody waits for it.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer

from resources.settings import PROJECT_ROOT, Settings, TelemetrySettings
from resources.telemetry import attributes, metrics, otlp_json, tracing

SCOPE = "cixml"
FILE_PARTS = 16
"""One file has so small a share of all that may be kept: what is removed with the oldest is little."""
PAUSE_SECONDS = 10.0
"""After a failed export spans are dropped so long before the next try."""
EXPORT_SECONDS = 5.0
EXPORT_EVERY_MILLISECONDS = 500
MOST_WAITING = 2048
"""Spans on their way to an endpoint; what ends beyond them is dropped here, since the SDK would not tell us."""
MOST_LINKS = 1024
_QUIET = ("opentelemetry.exporter.otlp", "opentelemetry.exporter.http")
logger = logging.getLogger("cixml.traces")


def configure(settings: Settings, service: str) -> None:
    """Give the process its tracer, if spans are wanted. The first call names the process."""
    if settings.telemetry.traces != "none" and not tracing.is_on():
        tracing.use(ProcessTraces(settings, service))


class ProcessTraces:
    """The tracer of whichever process asks. It is not the global one of OpenTelemetry: libraries that look for that
    (FastAPI and Starlette do) would add spans with attributes that are not on the list."""

    def __init__(self, settings: Settings, service: str) -> None:
        for name in _QUIET:  # what they would say, for each batch, `_Watched` says once
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._settings = settings
        self._service = service
        self._resource = resource_attributes(settings.telemetry, service)
        self._lock = threading.Lock()
        self._pid = 0
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def tracer(self) -> Tracer:
        """Return this process's tracer: neither a file nor a thread crosses a fork."""
        if self._tracer is None or self._pid != os.getpid():
            with self._lock:
                if self._tracer is None or self._pid != os.getpid():
                    self._provider = self._made()
                    self._tracer = self._provider.get_tracer(SCOPE)
                    self._pid = os.getpid()
        return self._tracer

    def flush(self, seconds: float) -> None:
        """Send what is on its way, for so long at most."""
        if self._provider is not None and self._pid == os.getpid():
            sending = threading.Thread(target=self._provider.force_flush, name="cixml-traces-flush", daemon=True)
            sending.start()
            sending.join(seconds)

    def close(self) -> None:
        """Send the rest and close what is open."""
        if self._provider is not None and self._pid == os.getpid():
            self._provider.shutdown()

    def _made(self) -> TracerProvider:
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(self._settings.telemetry.sample_ratio)),
            resource=Resource(self._resource),
            id_generator=_Ids(),
            span_limits=SpanLimits(max_links=MOST_LINKS),
            shutdown_on_exit=False,  # `flush` ends it, in a time that is bounded
        )
        provider.add_span_processor(_processor(self._settings, self._service))
        return provider


def resource_attributes(settings: TelemetrySettings, service: str) -> dict[str, str]:
    """Return what is said of the process with each span and profile."""
    return {
        attributes.SERVICE_NAME: service,
        attributes.SERVICE_VERSION: settings.version or installed_version(),
        attributes.DEPLOYMENT_ENVIRONMENT: settings.environment,
    }


def installed_version() -> str:
    """Return the git commit of a checkout, else the version of the package."""
    git = shutil.which("git")
    if git and (PROJECT_ROOT / ".git").exists():
        asked = subprocess.run(
            [git, "-C", PROJECT_ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            return asked.stdout.strip()
    try:
        return version("cixml")
    except PackageNotFoundError:
        return "0"


class _Ids(RandomIdGenerator):
    """Random ids, but for a span that stands for rows."""

    def generate_span_id(self) -> int:
        given = tracing.given_ids.get()
        return given[1] if given else super().generate_span_id()

    def generate_trace_id(self) -> int:
        given = tracing.given_ids.get()
        return given[0] if given else super().generate_trace_id()


def _processor(settings: Settings, service: str) -> SpanProcessor:
    chosen = settings.telemetry
    if chosen.traces == "files":
        files = _Watched(TraceFiles(settings.trace_folder, service, most_bytes=chosen.trace_file_bytes))
        return _Dropping(files, SimpleSpanProcessor(files))
    endpoint = settings.require(chosen.otlp_endpoint, "CIXML_TELEMETRY__OTLP_ENDPOINT").rstrip("/")
    sent = _Watched(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS))
    return _Dropping(
        sent, BatchSpanProcessor(sent, max_queue_size=MOST_WAITING, schedule_delay_millis=EXPORT_EVERY_MILLISECONDS)
    )


class _Dropping(SpanProcessor):
    """Drops spans, and counts them, while they can't be exported or too many wait for it: nobody waits for them."""

    def __init__(self, watched: _Watched, processor: SpanProcessor) -> None:
        self._watched = watched
        self._processor = processor

    def on_end(self, span: ReadableSpan) -> None:
        if self._watched.is_down() or not self._watched.takes_one():
            metrics.spans_dropped.inc()
        else:
            self._processor.on_end(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._watched.is_down() or self._processor.force_flush(timeout_millis)

    def shutdown(self) -> None:
        self._processor.shutdown()


class _Watched(SpanExporter):
    """Counts what an exporter could not send; says once that it fails, and once that it works again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failed_at: float | None = None
        self._waiting = 0
        self._turn = threading.Lock()

    def takes_one(self) -> bool:
        """Return whether there is room for one more span on the way to `export`, and take it."""
        with self._turn:
            has_room = self._waiting < MOST_WAITING
            self._waiting += has_room
        return has_room

    def is_down(self) -> bool:
        """Return whether the last export failed, and it is not yet time to try again."""
        return self._failed_at is not None and time.monotonic() - self._failed_at < PAUSE_SECONDS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        finally:
            with self._turn:
                self._waiting -= len(spans)
        if result is SpanExportResult.SUCCESS:
            if self._failed_at is not None:
                logger.warning("spans are exported again")
            self._failed_at = None
            return result
        metrics.spans_dropped.inc(len(spans))
        if self._failed_at is None:
            logger.warning("spans can't be exported: they are dropped until they can, and nothing waits for it")
        self._failed_at = time.monotonic()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class TraceFiles(SpanExporter):
    """OTLP/JSON lines in files of this process alone. A full one is followed by another, the oldest of all removed."""

    def __init__(self, folder: Path, service: str, *, most_bytes: int) -> None:
        self._folder = folder
        self._service = service
        self._most_bytes = most_bytes
        self._head: bytes | None = None
        self._file: int | None = None
        self._turn = threading.Lock()  # else one thread writes to what another has just closed, or to what came after

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append the spans. One write a line: a reader sees whole ones."""
        try:
            with self._turn:
                for span in spans:
                    if self._head is None:
                        self._head = otlp_json.head(span.resource, SCOPE)
                    os.write(self._open(), otlp_json.line(self._head, span))
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        with self._turn:
            self._close()

    def _open(self) -> int:
        if self._file is not None:
            info = os.fstat(self._file)
            if info.st_nlink and info.st_size <= self._most_bytes // FILE_PARTS:  # not removed by another process
                return self._file
            self._close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_oldest()
        path = self._folder / f"{self._service}-{os.getpid()}-{time.time_ns() // 1_000_000}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _remove_oldest(self) -> None:
        """Make room for one more file."""
        found = []
        for path in self._folder.glob("*.jsonl"):
            try:
                info = path.stat()
            except FileNotFoundError:  # another process removed it
                continue
            found.append((info.st_mtime, info.st_size, path))
        room = self._most_bytes - self._most_bytes // FILE_PARTS
        for _, size, path in sorted(found, reverse=True):
            room -= size
            if room < 0:
                path.unlink(missing_ok=True)
