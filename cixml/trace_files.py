"""Reads the trace files of an embedded stack: OTLP/JSON lines that its processes write while they work."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ERROR = 2  # opentelemetry.proto.trace.v1.Status.STATUS_CODE_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSpan:
    """One span that has ended. Times are nanoseconds since 1970; `links` name spans as (trace, span)."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    service: str
    began: int
    ended: int
    attributes: Mapping[str, str | int | float | bool]
    events: Sequence[tuple[str, int]] = ()
    links: Sequence[tuple[str, str]] = ()
    error: str | None = None
    resource: Mapping[str, str] = field(default_factory=dict)
    event_attributes: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        return (self.ended - self.began) / 1e9


def all_spans(folder: Path) -> Iterator[StoredSpan]:
    """Yield every span of the folder, file by file."""
    yield from _spans(folder, ())


def spans_of_traces(folder: Path, trace_ids: Iterable[str]) -> list[StoredSpan]:
    """Return what is stored of these traces."""
    wanted = set(trace_ids)
    return [span for span in _spans(folder, wanted) if span.trace_id in wanted]


def trace_of_job(folder: Path, job_id: str) -> str | None:
    """Return the trace of a job, None where no span of it is stored."""
    return next((span.trace_id for span in _spans(folder, {job_id}) if span.attributes.get("job.id") == job_id), None)


def linked_traces(spans: Iterable[StoredSpan]) -> set[str]:
    """Return the other traces that these spans link to."""
    spans = list(spans)
    return {trace_id for span in spans for trace_id, _ in span.links} - {span.trace_id for span in spans}


def _spans(folder: Path, holding: Iterable[str]) -> Iterator[StoredSpan]:
    """Yield the spans of the lines that hold one of these texts, or of all. A line still being written is left out."""
    texts = tuple(holding)
    for path in sorted(folder.glob("*.jsonl")):
        try:
            with path.open(encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n") and (not texts or any(text in line for text in texts)):
                        yield from _of_export(json.loads(line))
        except FileNotFoundError:  # it was the oldest
            continue


def _of_export(export: Mapping[str, Any]) -> Iterator[StoredSpan]:
    for of_resource in export["resourceSpans"]:
        resource = {key: str(value) for key, value in _attributes(of_resource["resource"]).items()}
        for of_scope in of_resource["scopeSpans"]:
            for span in of_scope["spans"]:
                yield _span(span, resource)


def _span(span: Mapping[str, Any], resource: Mapping[str, str]) -> StoredSpan:
    status = span.get("status", {})
    events = span.get("events", ())
    return StoredSpan(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId") or None,
        name=span["name"],
        service=resource.get("service.name", ""),
        began=int(span["startTimeUnixNano"]),
        ended=int(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        events=[(event["name"], int(event["timeUnixNano"])) for event in events],
        links=[(link["traceId"], link["spanId"]) for link in span.get("links", ())],
        error=status.get("message", "error") if status.get("code") == _ERROR else None,
        resource=resource,
        event_attributes=[key for event in events for key in _attributes(event)],
    )


def _attributes(holder: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return attributes as plain values; OTLP/JSON writes an integer as text."""
    found: dict[str, str | int | float | bool] = {}
    for attribute in holder.get("attributes", ()):
        kind, value = next(iter(attribute["value"].items()))
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found
