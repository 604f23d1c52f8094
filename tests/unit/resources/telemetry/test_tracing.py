"""Spans: what they say, what they never say, and where they go."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind

from resources.errors import EmbeddingUnavailableError
from resources.telemetry import metrics, trace_export, tracing
from resources.telemetry.attributes import RESOURCE_ATTRIBUTES
from resources.telemetry.otlp_json import head, line
from resources.telemetry.trace_export import SCOPE
from tests.traces import Recorded, recording

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ROW = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    with recording(tmp_path) as found:
        yield found


def test_a_span_is_in_the_file_as_soon_as_it_ends(recorded: Recorded) -> None:
    with tracing.span("work", {"operation": "read"}, parent=tracing.within(tracing.parse(PARENT))):
        assert recorded.spans == []
    (span,) = recorded.spans
    assert (span.name, span.trace_id, span.parent_id) == ("work", PARENT[3:35], PARENT[36:52])
    assert span.attributes == {"operation": "read"}
    assert set(span.resource) == {"service.name", "service.version", "deployment.environment"}


def test_a_failure_says_its_code_and_nothing_of_its_message(recorded: Recorded) -> None:
    with pytest.raises(EmbeddingUnavailableError), tracing.span("work"):
        raise EmbeddingUnavailableError("the text 'hush' at http://gpu/ failed")
    (span,) = recorded.spans
    assert span.error == EmbeddingUnavailableError.code
    assert "hush" not in "".join(path.read_text() for path in recorded.folder.iterdir())


def test_ids_that_stand_for_rows_are_the_same_in_every_process(recorded: Recorded) -> None:
    ids = (tracing.trace_id_of(ROW), tracing.span_id_of(ROW))
    tracing.start("run", ids=ids).end()
    with tracing.span("other"):
        pass
    run, other = recorded.spans
    assert (int(run.trace_id, 16), int(run.span_id, 16)) == ids
    assert other.trace_id != run.trace_id


def test_an_unsampled_parent_is_obeyed(recorded: Recorded) -> None:
    with tracing.span("work", parent=tracing.within(tracing.parse(PARENT[:-1] + "0"))) as span:
        assert tracing.traceparent(span.get_span_context()).endswith("-00")
    assert recorded.spans == []


def test_a_forked_child_writes_to_a_file_of_its_own(recorded: Recorded) -> None:
    with tracing.span("parent"):
        pass
    child = os.fork()
    if child == 0:
        with tracing.span("child"):
            pass
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert {span.name for span in recorded.spans} == {"parent", "child"}
    assert len(list(recorded.folder.iterdir())) == 2
    assert all(
        set(span.resource) == {"service.name", "service.version", "deployment.environment"} for span in recorded.spans
    )


def test_without_traces_a_span_carries_its_parent_on() -> None:
    assert not tracing.is_on()
    with tracing.span("work", parent=tracing.within(tracing.parse(PARENT))) as span:
        assert tracing.traceparent(span.get_span_context()) == PARENT


def test_trace_files_are_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    with recording(tmp_path, trace_file_bytes=2**20) as recorded:
        for _ in range(3000):
            with tracing.span("x" * 500):
                pass
        with tracing.span("last"):
            pass
    files = list(recorded.folder.iterdir())
    assert len(files) > 2
    assert 2**19 < sum(path.stat().st_size for path in files) <= 2**20 + 2000
    assert recorded.named("last")


def test_a_file_that_was_removed_is_followed_by_another(recorded: Recorded) -> None:
    for name in ("first", "second"):
        with tracing.span(name):
            pass
        if name == "first":
            next(recorded.folder.iterdir()).unlink()
    assert [span.name for span in recorded.spans] == ["second"]


def test_a_full_disk_costs_a_line_and_a_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "traces").write_text("no folder can be made here")
    before = metrics.spans_dropped._value.get()
    with caplog.at_level(logging.WARNING, "cixml.traces"), recording(tmp_path):
        for _ in range(3):
            with tracing.span("work"):
                pass
    assert metrics.spans_dropped._value.get() - before == 3
    assert len([record for record in caplog.records if record.name == "cixml.traces"]) == 1


def test_spans_beyond_what_may_wait_for_the_receiver_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_export, "MOST_WAITING", 5)
    answers, taken = threading.Event(), threading.Event()

    class Slow(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            taken.set()
            answers.wait(10)
            return super().export(spans)

    kept = Slow()
    watched = trace_export._Watched(kept)
    provider = TracerProvider()
    waiting = BatchSpanProcessor(watched, max_queue_size=5, schedule_delay_millis=1, max_export_batch_size=5)
    provider.add_span_processor(trace_export._Dropping(watched, waiting))
    tracer = provider.get_tracer(SCOPE)
    before = metrics.spans_dropped._value.get()
    tracer.start_span("first").end()
    assert taken.wait(10)
    for _ in range(9):
        tracer.start_span("more").end()
    answers.set()
    provider.force_flush()
    assert metrics.spans_dropped._value.get() - before == 5
    assert len(kept.get_finished_spans()) == 5
    tracer.start_span("again").end()
    provider.shutdown()
    assert len(kept.get_finished_spans()) == 6, "there is room again"


def test_a_line_is_what_opentelemetrys_own_exporter_writes(recorded: Recorded) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(dict.fromkeys(RESOURCE_ATTRIBUTES, "x")))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer(SCOPE)
    link = tracing.remote(tracing.trace_id_of(ROW), tracing.span_id_of(ROW))
    known = {"job.url": "https://example.com/\u00e4", "embedding.tokens": 2**40}
    parent = tracing.within(tracing.parse(PARENT))
    with tracer.start_as_current_span("request", parent, SpanKind.SERVER, known) as outer:
        with tracer.start_as_current_span("sent", kind=SpanKind.CLIENT, links=[Link(link)]) as inner:
            inner.add_event("sent")
            tracing.fail(inner, "http_4xx")
        outer.set_attribute("search.top_k", 3)
    for span in kept.get_finished_spans():
        reference = io.StringIO()
        FileSpanExporter(stream=reference).export([span])
        assert json.loads(line(head(span.resource, SCOPE), span)) == json.loads(reference.getvalue())


def test_trace_files_are_the_owners_alone(recorded: Recorded) -> None:
    with tracing.span("work"):
        pass
    (path,) = recorded.folder.iterdir()
    assert path.stat().st_mode & 0o077 == 0


def test_the_version_is_the_commit_or_the_package() -> None:
    assert trace_export.installed_version() not in ("", "0")


def test_threads_that_end_spans_while_files_are_changed_lose_none(tmp_path: Path) -> None:
    def work() -> None:
        for _ in range(1500):
            with tracing.span("x" * 500):
                pass

    before = metrics.spans_dropped._value.get()
    with recording(tmp_path, trace_file_bytes=2**20) as recorded:
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert metrics.spans_dropped._value.get() == before
    assert {span.name for span in recorded.spans} == {"x" * 500}
