"""Real spans in tests: recorded into files as the embedded stack does, and read as `cixml trace` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cixml.trace_files import StoredSpan, all_spans
from resources.settings import Settings, TelemetrySettings
from resources.telemetry import tracing
from resources.telemetry.attributes import RESOURCE_ATTRIBUTES, SPAN_ATTRIBUTES
from resources.telemetry.trace_export import ProcessTraces


class Recorded:
    """What this process has recorded so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def spans(self) -> list[StoredSpan]:
        return sorted(all_spans(self.folder), key=lambda span: span.began)

    def named(self, *names: str) -> list[StoredSpan]:
        return [span for span in self.spans if span.name in names]


@contextmanager
def recording(home: Path, **chosen: Any) -> Iterator[Recorded]:
    """Record this process's spans below `home`."""
    settings = Settings.load(home=home, telemetry=TelemetrySettings(traces="files", version="test", **chosen))
    traces = ProcessTraces(settings, "cixml-test")
    tracing.use(traces)
    try:
        yield Recorded(settings.trace_folder)
    finally:
        tracing.use(None)
        traces.close()


def assert_approved(spans: Iterable[StoredSpan]) -> None:
    """Hold every attribute to the customer's list, the span of a page to what it must say, names to hold no data."""
    for span in spans:
        assert set(span.attributes) <= SPAN_ATTRIBUTES, span
        assert set(span.resource) == RESOURCE_ATTRIBUTES, span
        assert not span.event_attributes, span
        assert "://" not in span.name, span
        if span.name.endswith(" page"):
            assert set(span.attributes) >= {"job.id", "job.url", "job.stage"}, span
        assert "job.stage" not in span.attributes or span.name == f"{span.attributes['job.stage']} page", span
