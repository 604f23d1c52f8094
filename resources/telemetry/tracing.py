"""Spans: how every part opens one, and what a failed one says. Who exports them, and where to, is trace_export.py's.

A span's name holds no data, its attributes are those of attributes.py, its status says a code: no statement, no query,
no page text, no message of an exception (which may hold any of these) is in a trace. Without a provider (traces are
off) a span only carries its parent's ids on, to log lines and to the embedding server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Protocol
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)
from opentelemetry.util.types import AttributeValue

from resources.errors import CixmlError

Attributes = Mapping[str, AttributeValue]
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
given_ids: ContextVar[tuple[int, int] | None] = ContextVar("cixml_span_ids", default=None)
"""The trace and span id of the span that starts now; the provider's generator takes them (trace_export.py)."""

END_SECONDS = 2.0
"""A process that ends waits so long for its last spans to leave."""


class Traces(Protocol):
    """Where spans go: trace_export.py has the one that is."""

    def tracer(self) -> Tracer: ...
    def flush(self, seconds: float) -> None: ...


class _Nowhere:
    def __init__(self) -> None:
        self._tracer = NoOpTracer()

    def tracer(self) -> Tracer:
        return self._tracer

    def flush(self, seconds: float) -> None:
        """Nothing is on its way."""


_NOWHERE = _Nowhere()
_traces: Traces = _NOWHERE


def use(traces: Traces | None) -> None:
    """Send the spans of this process, and of those it forks, there; None: nowhere."""
    global _traces
    _traces = traces or _NOWHERE


def is_on() -> bool:
    """Return whether spans go anywhere from this process: else nothing need be looked up for them."""
    return _traces is not _NOWHERE


def flush(seconds: float = END_SECONDS) -> None:
    """Send what is on its way, for so long at most: before a process ends, or is left."""
    _traces.flush(seconds)


@contextmanager
def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    parent: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[Span]:
    """Do the work inside a span; what it raises makes the span an error, by its code."""
    with _traces.tracer().start_as_current_span(
        name,
        context=parent,
        kind=kind,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        try:
            yield opened
        except BaseException as error:
            fail(opened, code_of(error))
            raise


def start(
    name: str,
    attributes: Attributes | None = None,
    *,
    parent: Context | None = None,
    links: Iterable[SpanContext] = (),
    ids: tuple[int, int] | None = None,
    began: datetime | None = None,
) -> Span:
    """Return an open span that is not the current one: `end` it. `ids` are its trace's (for a root) and its own."""
    token = given_ids.set(ids)
    try:
        return _traces.tracer().start_span(
            name,
            context=Context() if parent is None else parent,
            attributes=attributes,
            links=[Link(context) for context in links],
            start_time=None if began is None else nanoseconds(began),
            record_exception=False,
            set_status_on_exception=False,
        )
    finally:
        given_ids.reset(token)


def fail(failed: Span, code: str) -> None:
    """Say that what the span stands for has failed, and why."""
    failed.set_status(Status(StatusCode.ERROR, code))


def code_of(error: BaseException) -> str:
    """Return what a span says of an error: the code of one of ours, else its class."""
    return error.code if isinstance(error, CixmlError) else type(error).__name__


def note(name: str, value: AttributeValue) -> None:
    """Add an attribute to the current span."""
    trace.get_current_span().set_attribute(name, value)


def event(name: str) -> None:
    """Add an event to the current span: when it came to a point."""
    trace.get_current_span().add_event(name)


def parse(traceparent: str | None) -> SpanContext | None:
    """Return the span that a stored `traceparent` names, None where there is none."""
    parts = (traceparent or "").split("-")
    if len(parts) != 4:
        return None
    try:
        return remote(int(parts[1], 16), int(parts[2], 16), TraceFlags(int(parts[3], 16)))
    except ValueError:
        return None


def remote(trace_id: int, span_id: int, flags: TraceFlags = SAMPLED) -> SpanContext:
    """Return the context of a span of another process, or of another time."""
    return SpanContext(trace_id=trace_id, span_id=span_id, is_remote=True, trace_flags=flags)


def within(parent: SpanContext | None) -> Context:
    """Return the context in which spans are children of `parent`; without one they begin a trace."""
    return Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())


def traceparent(context: SpanContext) -> str:
    """Return the W3C form of a span's context."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def span_id_of(*names: UUID) -> int:
    """Return the span id that stands for rows: who knows them can name the span, also after its process died."""
    digest = hashlib.blake2b(b"".join(name.bytes for name in names), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def trace_id(given: str | None) -> str | None:
    """Return the trace of a stored `traceparent` as people write it."""
    found = parse(given)
    return f"{found.trace_id:032x}" if found else None


def trace_id_of(name: UUID) -> int:
    """Return the trace id that stands for a row. A digest: a sampler takes the low bits of an id for random ones."""
    return int.from_bytes(hashlib.blake2b(name.bytes, digest_size=16).digest(), "big") or 1


def nanoseconds(moment: datetime) -> int:
    """Return a time as spans have it."""
    return int(moment.timestamp() * 1e6) * 1000
