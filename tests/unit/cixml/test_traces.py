"""`cixml trace`: what it shows of real trace files, whole, of a job under work, and of runs that are shared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from opentelemetry.trace import SpanKind
from typer.testing import CliRunner

from cixml import main
from resources.errors import NotFoundError
from resources.identifiers import Prefix, new_uuid, public_id
from resources.orchestration.batch_trace import CHUNK, SCRAPE, BatchTrace, fail_page, tell_claimed
from resources.postgres.traced import TracedItem
from resources.telemetry import tracing
from tests.traces import Recorded, recording

SEARCH = "POST /v1/corpora/{name}/search"


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    monkeypatch.setenv("CIXML_HOME", str(tmp_path))
    with recording(tmp_path) as found:
        yield found


def items(batch_id: UUID, *jobs: UUID, pages: int = 1) -> list[TracedItem]:
    """Make the items of a batch, `pages` of each job."""
    now = datetime.now(UTC)
    return [
        TracedItem(
            batch_id=batch_id,
            item_id=new_uuid(),
            job_id=job,
            url=f"https://example.com/{number}",
            traceparent=None,
            parent_traceparent=None,
            corpus_name="docs",
            enqueued_at=now - timedelta(seconds=9),
            claimed_at=now - timedelta(seconds=2),
            started_at=now - timedelta(seconds=1),
        )
        for job in jobs
        for number in range(pages)
    ]


def begun(*jobs: UUID, pages: int = 1) -> tuple[BatchTrace, list[TracedItem]]:
    batch_id = new_uuid()
    found = items(batch_id, *jobs, pages=pages)
    tell_claimed(found)
    trace = BatchTrace(batch_id, found, corpus="docs", queue="ingest")
    trace.tell_launch()
    return trace, found


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(main.app, ["trace", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def names(text: str) -> list[str]:
    """Return the first column of the waterfall, under its head."""
    tree = text.partition("\n\n")[0].splitlines()[2:]
    return [re.sub(r"(?<=\w)\s{2,}.*", "", line) for line in tree]


def test_a_job_is_shown_with_its_wait_its_failures_and_the_slowest_of_many(recorded: Recorded) -> None:
    job = new_uuid()
    trace, found = begun(job, pages=20)
    with trace.stage(SCRAPE):
        for item in found:
            with trace.page(item.item_id, SCRAPE) as span:
                if item is found[7]:
                    fail_page(span, SCRAPE, "http_4xx")
    trace.end()
    text = shown(public_id(Prefix.JOB, job))
    lines = text.splitlines()
    claim = next(line for line in lines if line.startswith("claim"))
    assert "9.0" in claim
    assert any("├─ launch" in line and "1.000" in line for line in lines)
    assert any("http_4xx https://example.com/7" in line for line in lines)
    assert any("16 more scrape page" in line for line in lines)
    assert "in the queue 9.0" in text
    assert "slowest:" in text
    assert shown(public_id(Prefix.JOB, job), "--all").count("scrape page") == 20 + 3


def test_a_job_under_work_is_shown_below_what_has_not_ended(recorded: Recorded) -> None:
    job = new_uuid()
    trace, found = begun(job)
    with trace.stage(SCRAPE):
        with trace.page(found[0].item_id, SCRAPE):
            pass
        text = shown(public_id(Prefix.JOB, job))
        assert names(text) == ["claim", "run", "├─ launch", "└─ scrape", "   └─ scrape page"]
        assert text.count("has not ended, or its process died") == 2
    trace.end()
    assert "has not ended" not in shown(public_id(Prefix.JOB, job))


def test_what_a_run_does_for_several_jobs_is_shown_with_each(recorded: Recorded) -> None:
    jobs = [new_uuid(), new_uuid()]
    trace, found = begun(*jobs)
    with trace.stage(CHUNK):
        for item in found:
            with trace.page(item.item_id, CHUNK):
                pass
    trace.end()
    for job in jobs:
        lines = [name.strip("│├└─ ") for name in names(shown(public_id(Prefix.JOB, job)))]
        assert lines[:4] == ["claim", "run", "run", "launch"]
        assert sorted(lines[4:6]) == ["chunk", "chunk page"]


def test_a_lost_run_is_an_error_beside_the_next_attempt(recorded: Recorded) -> None:
    job = new_uuid()
    begun(job)[0].end_lost("worker_lost")
    begun(job)[0].end()
    runs = [line for line in shown(public_id(Prefix.JOB, job)).splitlines() if line.startswith("run")]
    assert ["worker_lost" in line for line in runs] == [True, False]


def test_a_search_is_found_by_its_traceparent_and_json_has_every_span(recorded: Recorded) -> None:
    with tracing.span(SEARCH, kind=SpanKind.SERVER) as span, tracing.span("search"):
        traceparent = tracing.traceparent(span.get_span_context())
    assert SEARCH in shown("--trace-id", traceparent)
    found = json.loads(shown("--trace-id", traceparent[3:35], "--json"))
    assert found["trace_id"] == traceparent[3:35]
    assert [each["name"] for each in found["spans"]] == [SEARCH, "search"]


def test_a_trace_that_is_not_stored_is_an_error_that_says_where_it_looked(recorded: Recorded) -> None:
    with pytest.raises(NotFoundError, match=str(recorded.folder)):
        shown("--trace-id", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert CliRunner().invoke(main.app, ["trace", "--trace-id", "nonsense"]).exit_code == 2
    assert CliRunner().invoke(main.app, ["trace"]).exit_code == 2


def test_a_line_that_is_still_being_written_is_left_out(recorded: Recorded) -> None:
    job = new_uuid()
    begun(job)[0].end()
    (path,) = recorded.folder.iterdir()
    with path.open("a") as file:
        file.write(f'{{"resourceSpans": [{{"{public_id(Prefix.JOB, job)}')
    assert "run" in shown(public_id(Prefix.JOB, job))
