"""One trace from the request to the last page of its job, whatever it is batched with and whatever dies."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest
import pytest_asyncio
from dagster import DagsterInstance
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from resources.errors import ScrapingError
from resources.identifiers import Prefix, public_id
from resources.orchestration import tags
from resources.orchestration.batch_trace import EMBED, SCRAPE, fail_page
from resources.orchestration.lifeline import Lifeline
from resources.orchestration.runtime import Runtime
from resources.orchestration.work import RunWork
from resources.postgres import index_builds
from resources.postgres.claims import ClaimedBatch
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import Settings, TelemetrySettings
from resources.telemetry import metrics, tracing
from resources.telemetry.logs import current_ids, current_job_id
from resources.telemetry.trace_export import ProcessTraces
from resources.types import Stage
from sensors import submitted_jobs
from tests.api import ALICE, Api, index_document, running_api
from tests.builders import MadeJob, make_job, make_worker
from tests.database import Database
from tests.deletion import sweep, sweeper_of
from tests.rows import claim_all
from tests.stack import poll
from tests.traces import Recorded, assert_approved, recording

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GATEWAY = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
Owner = psycopg.Connection[Any]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    with recording(tmp_path) as found:
        yield found


@pytest.fixture
def owner(database: Database) -> Iterator[Owner]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        make_worker(connection)
        yield connection


@pytest.fixture
def parts(database: Database) -> Iterator[Runtime]:
    found = Runtime(
        database.settings(
            redis_url="redis://127.0.0.1:1/0",
            embedding_api_base_url="http://127.0.0.1:1/v1",
            dagster={"database_url": database.pipeline_url},
        )
    )
    yield found
    found.database.close()


@pytest.fixture
def pipeline(database: Database) -> Iterator[PipelineDatabase]:
    found = PipelineDatabase(database.pipeline_url)
    yield found
    found.close()


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        assert (await found.post("/v1/corpora", {"name": "docs"})).status_code == 201
        yield found


def claim_one(pipeline: PipelineDatabase) -> ClaimedBatch:
    """Claim as the sensor does, and tell the traces."""
    (claimed,) = claim_all(pipeline)
    submitted_jobs._traces(pipeline, [claimed])
    return claimed


def run_of(claimed: ClaimedBatch) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="test", run_id=str(uuid4()), tags={tags.BATCH: str(claimed.batch_id)})


def trace_of(job: MadeJob) -> str:
    """Return the trace of a job that no request made."""
    return f"{tracing.trace_id_of(job.job_id):032x}"


def item_ids(owner: Owner) -> list[UUID]:
    return [row[0] for row in owner.execute("SELECT id FROM cixml.job_items ORDER BY ordinal")]


async def test_one_trace_from_the_gateway_to_the_pages(
    recorded: Recorded, api: Api, owner: Owner, parts: Runtime, pipeline: PipelineDatabase
) -> None:
    urls = [f"https://example.com/{name}" for name in ("a", "b?token=hush")]
    answer = await api.post("/v1/jobs", {"corpus": "docs", "urls": urls}, headers=GATEWAY)
    job_id = answer.json()["id"]
    listed = (await api.get("/v1/jobs")).json()["content"]
    told = [answer.json(), (await api.get(f"/v1/jobs/{job_id}")).json(), *listed]
    assert [job["trace_id"] for job in told] == [TRACE] * 3
    claimed = claim_one(pipeline)
    work = RunWork(run_of(claimed), parts)
    lease = work.ingest(refresh_all=False)
    assert lease is not None
    good, bad = item_ids(owner)
    with lease.trace.stage(SCRAPE):
        with lease.trace.page(good, SCRAPE):
            tracing.event("its turn at the host")
        with lease.trace.page(bad, SCRAPE) as page:
            fail_page(page, SCRAPE, ScrapingError("not_found", "https://example.com/b?token=hush is gone").code)
    with lease.trace.stage(EMBED):
        lease.trace.embedded(good, since=datetime.now(UTC), model="m", tokens=7)
    with work.stage("index"):
        pass
    assert not recorded.named("run")
    work.close()

    spans = [span for span in recorded.spans if span.trace_id == TRACE]
    by_name = {span.name: span for span in spans}
    request, run = by_name["POST /v1/jobs"], by_name["run"]
    assert answer.headers["traceparent"] == f"00-{TRACE}-{request.span_id}-01"
    assert request.parent_id == GATEWAY["traceparent"][36:52]
    assert request.attributes["job.id"] == job_id
    assert request.attributes["caller.type"] == "service"
    assert request.attributes["http.request_id"] == answer.headers["x-request-id"]
    assert [by_name[name].parent_id for name in ("claim", "run")] == [request.span_id] * 2
    assert [by_name[name].parent_id for name in ("launch", "scrape", "embed", "index")] == [run.span_id] * 4
    pages = [span for span in spans if span.name == "scrape page"]
    assert [page.parent_id for page in pages] == [by_name["scrape"].span_id] * 2
    assert pages[0].attributes["job.url"] == urls[0]
    assert "hush" not in str([span.attributes for span in spans])
    assert (pages[1].error, pages[1].attributes["failed.stage"]) == ("not_found", Stage.SCRAPING)
    assert by_name["embed page"].parent_id == by_name["embed"].span_id
    assert by_name["embed page"].attributes["embedding.tokens"] == 7
    assert {span.attributes["job.id"] for span in spans if "job.id" in span.attributes} == {job_id}
    assert_approved(recorded.spans)


def test_jobs_of_one_batch_keep_their_traces_and_are_linked(
    recorded: Recorded, owner: Owner, parts: Runtime, pipeline: PipelineDatabase
) -> None:
    jobs = [make_job(owner, f"https://example.com/{number}") for number in range(2)]
    claimed = claim_one(pipeline)
    work = RunWork(run_of(claimed), parts)
    lease = work.ingest(refresh_all=False)
    assert lease is not None
    with lease.trace.stage(SCRAPE):
        for job in jobs:
            with lease.trace.page(job.item_ids[0], SCRAPE):
                pass
    work.close()

    root = next(span for span in recorded.named("run") if span.parent_id is None and len(span.links) == 2)
    assert {span.trace_id for span in recorded.named("scrape", "launch")} == {root.trace_id}
    for job in jobs:
        mine = {span.name: span for span in recorded.spans if span.trace_id == trace_of(job)}
        assert set(mine) == {"claim", "run", "scrape page"}
        assert mine["scrape page"].parent_id == mine["run"].span_id
        assert (root.trace_id, root.span_id) in mine["run"].links
        assert (mine["run"].trace_id, mine["run"].span_id) in root.links
        assert mine["run"].attributes["job.id"] == public_id(Prefix.JOB, job.job_id)
    assert_approved(recorded.spans)


def test_the_run_that_was_killed_is_told_by_lifeline_and_its_pages_have_their_parent(
    recorded: Recorded, owner: Owner, parts: Runtime, pipeline: PipelineDatabase, tmp_path: Path, database: Database
) -> None:
    job = make_job(owner, "https://example.com/a")
    dead = RunWork(run_of(claim_one(pipeline)), parts)
    lease = dead.ingest(refresh_all=False)
    assert lease is not None
    with lease.trace.stage(SCRAPE):
        pass
    owner.execute("UPDATE cixml.batches SET lease_until = now() - interval '1 second'")
    with (
        DagsterInstance.local_temp(str(tmp_path)) as instance,
        closing(Lifeline(parts, instance)) as rescue,
    ):
        rescue.reap()
    owner.execute("UPDATE cixml.work_queue SET ready_at = now()")
    work = RunWork(run_of(claim_one(pipeline)), parts)
    work.close()
    dead.close()  # it was only slow: what it does not own any more it does not tell

    first, second = recorded.named("run")
    assert (first.error, second.error) == ("worker_lost", None)
    assert [span.parent_id for span in recorded.named("scrape")] == [first.span_id]
    assert {span.trace_id for span in recorded.spans} == {trace_of(job)}
    assert len(recorded.named("claim")) == 2


async def test_what_a_deletion_removes_is_in_the_trace_of_its_request(
    recorded: Recorded, api: Api, owner: Owner, database: Database, tmp_path: Path
) -> None:
    with psycopg.connect(database.pipeline_url) as rows:
        index_document(rows, corpus="docs", owner=ALICE, url="https://example.com/a", texts=["a zebra"])
    answer = await api.send("DELETE", "/v1/corpora/docs", headers=GATEWAY)
    receipt = answer.json()
    assert receipt["trace_id"] == TRACE
    with (
        DagsterInstance.local_temp(str(tmp_path)) as instance,
        closing(sweeper_of(database, instance)) as sweeper,
    ):
        sweep(sweeper, owner)
    path = answer.headers["location"]
    assert (await api.get(path)).json()["status"] == "done"

    [request] = recorded.named("DELETE /v1/corpora/{name}")
    [whole] = recorded.named("delete")
    slices = recorded.named("delete slice")
    assert slices
    assert {span.trace_id for span in (request, whole, *slices)} == {TRACE}
    assert whole.parent_id == request.span_id
    assert {span.parent_id for span in slices} == {whole.span_id}
    assert whole.attributes["corpus.name"] == "docs"
    assert_approved(recorded.spans)


async def test_runs_of_an_index_version_are_in_the_trace_of_the_request_that_started_them(
    recorded: Recorded, api: Api, owner: Owner, parts: Runtime, pipeline: PipelineDatabase, database: Database,
    tmp_path: Path,
) -> None:  # fmt: skip
    with psycopg.connect(database.pipeline_url) as rows:
        index_document(rows, corpus="docs", owner=ALICE, url="https://example.com/a", texts=["a zebra"])
    made = await api.post("/v1/corpora/docs/index-versions", {"from": "text"}, headers=GATEWAY)
    assert (made.status_code, made.json()["trace_id"]) == (202, TRACE), made.text
    with pipeline.transaction() as connection:
        [due] = index_builds.due(connection)
    run_tags = {tags.INDEX_VERSION: str(due.index_version_id), tags.PARTITION: due.partition_key}

    def work() -> RunWork:
        found = RunWork(dg.DagsterRun(job_name="reindex", run_id=str(uuid4()), tags=run_tags), parts)
        found.of_model(None)
        return found

    killed = work()
    owner.execute("UPDATE cixml.batches SET lease_until = now() - interval '1 second'")
    with DagsterInstance.local_temp(str(tmp_path)) as instance, closing(Lifeline(parts, instance)) as rescue:
        rescue.reap()
    killed.close()
    work().close()
    owner.execute("UPDATE cixml.index_versions SET state = 'ready' WHERE state = 'building'")
    path = f"/v1/corpora/docs/index-versions/{made.json()['id']}"
    asked = await api.post(
        f"{path}/activate", {}, headers={"traceparent": GATEWAY["traceparent"].replace("4bf9", "5cf9")}
    )
    assert asked.json()["trace_id"] == TRACE.replace("4bf9", "5cf9")
    work().close()

    create, activate = recorded.named(
        "POST /v1/corpora/{name}/index-versions", "POST /v1/corpora/{name}/index-versions/{version_id}/activate"
    )
    runs = recorded.named("run")
    assert [(run.trace_id, run.parent_id, run.error) for run in runs] == [
        (TRACE, create.span_id, "worker_lost"),
        (TRACE, create.span_id, None),
        (asked.json()["trace_id"], activate.span_id, None),
    ]
    assert {run.attributes["queue.name"] for run in runs} == {"backfill"}
    assert_approved(recorded.spans)


def test_lines_of_a_run_say_its_trace_and_its_job(
    recorded: Recorded, owner: Owner, parts: Runtime, pipeline: PipelineDatabase
) -> None:
    job = make_job(owner, "https://example.com/a")
    work = RunWork(run_of(claim_one(pipeline)), parts)
    assert current_ids()[0] == trace_of(job)
    assert current_job_id() == public_id(Prefix.JOB, job.job_id)
    work.close()
    assert (current_ids()[0], current_job_id()) == (None, None)


async def test_a_search_tells_its_steps_and_not_the_query(recorded: Recorded, api: Api, database: Database) -> None:
    with psycopg.connect(database.pipeline_url) as rows:
        index_document(rows, corpus="docs", owner=ALICE, url="https://example.com/a", texts=["a zebra in the zoo"])
    for mode in ("dense", "keyword", "hybrid"):
        body = {"query": "xylophone zebra", "mode": mode, "top_k": 3}
        assert (await api.post("/v1/corpora/docs/search", body, headers=GATEWAY)).status_code == 200
    spans = [span for span in recorded.spans if span.trace_id == TRACE]
    requests = [span for span in spans if span.name == "POST /v1/corpora/{name}/search"]
    names = [sorted(span.name for span in spans if span.parent_id == request.span_id) for request in requests]
    assert names == [["query vector", "search"], ["search"], ["query vector", "search"]]
    assert {"search vectors", "search words", "fuse"} <= {span.name for span in spans}
    known = {"search.top_k": 3, "corpus.name": "docs", "operation": "read", "request.mode": "sync"}
    assert known.items() <= requests[0].attributes.items()
    assert "xylophone" not in "".join(path.read_text() for path in recorded.folder.iterdir())
    assert_approved(recorded.spans)


async def test_a_failed_request_says_its_code_and_probes_are_no_spans(recorded: Recorded, api: Api) -> None:
    await api.get("/livez")
    await api.get("/v1/jobs/job_x")
    await api.client.request("QUERY", "/nowhere/hush")
    found = recorded.spans[1:]  # the first made the corpus
    assert [(span.name, span.error) for span in found] == [("GET /v1/jobs/{job_id}", None), ("OTHER", None)]


class Receiver(ThreadingHTTPServer):
    """A small real OTLP/HTTP receiver."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Receives)
        self.names: list[str] = []


class _Receives(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(body)
        self.server.names += [
            span.name for each in request.resource_spans for scope in each.scope_spans for span in scope.spans
        ]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def sent(receiver: Receiver) -> Iterator[ProcessTraces]:
    """Traces that go to the receiver."""
    endpoint = f"http://127.0.0.1:{receiver.server_port}"
    settings = Settings.load(telemetry=TelemetrySettings(traces="otlp", otlp_endpoint=endpoint))
    found = ProcessTraces(settings, "cixml-test")
    tracing.use(found)
    yield found
    tracing.use(None)
    found.close()


def test_spans_are_sent_at_the_end_of_a_process(receiver: Receiver, sent: ProcessTraces) -> None:
    with tracing.span("work"):
        pass
    tracing.flush()
    assert receiver.names == ["work"]


def test_a_receiver_that_is_gone_costs_nothing_and_is_sent_to_again(
    receiver: Receiver, sent: ProcessTraces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.telemetry.trace_export.PAUSE_SECONDS", 0.2)
    monkeypatch.setattr("resources.telemetry.trace_export.EXPORT_SECONDS", 0.5)
    port = receiver.server_port
    receiver.shutdown()
    receiver.server_close()
    before = metrics.spans_dropped._value.get()
    started = time.monotonic()
    for _ in range(100):
        with tracing.span("lost"):
            pass
    assert time.monotonic() - started < 0.5
    poll(lambda: metrics.spans_dropped._value.get() > before, "a dropped span")

    with Receiver(port) as back:
        threading.Thread(target=back.serve_forever, args=(0.05,), daemon=True).start()

        def arrives() -> bool:
            with tracing.span("again"):
                pass
            tracing.flush()
            return "again" in back.names

        poll(arrives, "a span after the outage")
        back.shutdown()
