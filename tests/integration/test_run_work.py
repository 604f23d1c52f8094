"""What a run works on, by the rows: the batch of its tag, what is due for refresh, or what a model lacks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest

from resources.errors import (
    ConfigurationError,
    ExtractorUnavailableError,
    HostPausedError,
    LeaseLostError,
    ScrapingError,
)
from resources.orchestration import tags
from resources.orchestration.background_loop import BackgroundLoop
from resources.orchestration.chunk_io_manager import ChunkIOManager
from resources.orchestration.fetching import FETCHES_AT_ONCE, SITEMAPS_AT_ONCE, FetchResource
from resources.orchestration.page_io_manager import PageIOManager
from resources.orchestration.runtime import Runtime
from resources.orchestration.streams import ChunkStream, FetchOutcome, FetchStream
from resources.orchestration.work import RunWork
from resources.postgres import pages
from resources.postgres.database import Database as PipelineDatabase
from resources.types import FetchedPage
from tests.builders import make_job, make_page, make_worker
from tests.database import Database
from tests.integration.test_pipeline_rows import MODEL, claim_all, index


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        make_worker(connection)
        yield connection


@pytest.fixture
def parts(database: Database) -> Iterator[Runtime]:
    found = Runtime(database.settings())
    yield found
    found.database.close()


@pytest.fixture
def pipeline(database: Database) -> Iterator[PipelineDatabase]:
    found = PipelineDatabase(database.pipeline_url)
    yield found
    found.close()


def run_with(**values: str) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="test", run_id=str(uuid4()), tags=values)


def run_of_batch(batch_id: UUID) -> dg.DagsterRun:
    return run_with(**{tags.BATCH: str(batch_id)})


def run_of_partition(owner: psycopg.Connection[Any]) -> dg.DagsterRun:
    row = owner.execute("SELECT partition_key FROM cixml.corpora").fetchone()
    assert row is not None
    return run_with(**{tags.PARTITION: row[0]})


def batches_of(owner: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return owner.execute("SELECT kind, state FROM cixml.batches ORDER BY created_at, kind").fetchall()


def test_a_tagged_run_works_on_its_batch_and_closes_it(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase
) -> None:
    job = make_job(owner, "https://example.com/a")
    (claimed,) = claim_all(pipeline)
    work = RunWork(run_of_batch(claimed.batch_id), parts)
    lease = work.ingest(refresh_all=False)
    assert lease is not None
    assert work.of_model(None) == (lease, lease.batch.serving)
    assert work.of_model(MODEL) == (lease, lease.batch.serving)
    assert work.is_ingest
    work.close()
    assert batches_of(owner) == [("ingest", "done")]
    assert owner.execute("SELECT item_id FROM cixml.work_queue").fetchall() == [(job.item_ids[0],)]


def test_a_second_run_of_the_same_batch_gets_no_work(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase
) -> None:
    make_job(owner, "https://example.com/a")
    (claimed,) = claim_all(pipeline)
    work = RunWork(run_of_batch(claimed.batch_id), parts)
    with pytest.raises(LeaseLostError):
        RunWork(run_of_batch(claimed.batch_id), parts)
    work.close()


def test_a_run_of_the_ui_refreshes_what_is_due_and_has_no_work_when_nothing_is(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase
) -> None:
    make_job(owner, "https://example.com/a")
    index(pipeline, b"body", "one two")
    work = RunWork(run_of_partition(owner), parts)
    assert work.ingest(refresh_all=False) is None  # it was fetched a moment ago
    lease = work.ingest(refresh_all=True)
    assert lease is not None
    assert lease.batch.kind == "refresh"
    assert not work.is_ingest
    work.close()
    assert ("refresh", "done") in batches_of(owner)


def test_a_run_of_the_ui_backfills_what_a_model_lacks_under_one_lease_per_model(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase
) -> None:
    make_job(owner, "https://example.com/a")
    index(pipeline, b"body", "one two")
    work = RunWork(run_of_partition(owner), parts)
    lease, serving = work.of_model(MODEL)
    assert work.of_model(MODEL)[0] is lease
    assert lease.batch.kind == "backfill"
    assert serving.model == MODEL
    second, _ = work.of_model(None)
    work.close()
    assert second is not lease
    assert [state for kind, state in batches_of(owner) if kind == "backfill"] == ["done", "done"]


def test_every_lease_of_a_run_is_closed_also_after_one_could_not_be(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(owner, "https://example.com/a")
    index(pipeline, b"body", "one two")
    work = RunWork(run_of_partition(owner), parts)
    first, _ = work.of_model(MODEL)
    work.of_model(None)
    close = first.close

    def fail() -> None:
        close()
        raise ValueError("no")

    monkeypatch.setattr(first, "close", fail)
    with pytest.raises(ValueError, match="no"):
        work.close()
    assert [state for kind, state in batches_of(owner) if kind == "backfill"] == ["done", "done"]


def test_every_lease_of_a_process_that_ends_is_left_also_after_one_was_lost(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase
) -> None:
    make_job(owner, "https://example.com/a")
    index(pipeline, b"body", "one two")
    work = RunWork(run_of_partition(owner), parts)
    lost, kept = work.of_model(MODEL)[0].batch, work.of_model(None)[0].batch
    owner.execute("UPDATE cixml.batches SET state = 'lost', finished_at = now() WHERE id = %s", [lost.batch_id])
    work.leave()
    ends = owner.execute("SELECT lease_until <= now() FROM cixml.batches WHERE id = %s", [kept.batch_id]).fetchone()
    assert ends == (True,)
    work.close()


def test_a_run_without_a_partition_says_what_it_lacks(parts: Runtime) -> None:
    with pytest.raises(ConfigurationError, match="start it for one partition"):
        RunWork(run_with(), parts).ingest(refresh_all=True)


def test_pages_that_the_extractor_was_away_for_wait_without_a_try(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase
) -> None:
    make_job(owner, "https://example.com/a")
    (claimed,) = claim_all(pipeline)
    work = RunWork(run_of_batch(claimed.batch_id), parts)
    lease, serving = work.of_model(None)
    with lease.transaction() as connection:
        waiting = pages.fetch_items(connection, batch_id=claimed.batch_id)
        pages.store_pages(connection, [(item, make_page(url=item.url)) for item in waiting])
    away = ExtractorUnavailableError(retry_after_seconds=30)
    stream = ChunkStream(lease=lease, index=serving, outcomes=(), interruption=away)
    context = dg.build_output_context()
    ChunkIOManager().handle_output(context, stream)
    work.close()
    row = owner.execute(
        "SELECT i.status, i.start_stage, i.attempts, i.waiting_reason, q.ready_at > now() + interval '20 seconds' "
        "FROM cixml.job_items i JOIN cixml.work_queue q ON q.item_id = i.id"
    ).fetchone()
    assert row == ("queued", "chunking", 0, "extractor_unavailable", True)


def test_pages_of_a_host_that_asked_for_a_pause_wait_without_a_try(
    owner: psycopg.Connection[Any],
    parts: Runtime,
    pipeline: PipelineDatabase,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The one that was told so counts its try, and the host is claimed by nobody meanwhile. The run tells all three."""

    def fetch(*errors: ScrapingError) -> Mapping[str, Any]:
        (claimed,) = claim_all(pipeline)
        work = RunWork(run_of_batch(claimed.batch_id), parts)
        monkeypatch.setattr("resources.orchestration.page_io_manager.work_of", lambda _: work)
        lease, _ = work.of_model(None)
        with lease.reading() as connection:
            items = pages.fetch_items(connection, batch_id=claimed.batch_id)
        outcomes = [FetchOutcome(item=item, error=error) for item, error in zip(items, errors, strict=True)]
        context = dg.build_output_context()
        PageIOManager().handle_output(
            context, FetchStream(lease=lease, items=items, outcomes=outcomes, stopped=Event())
        )
        work.close()
        return context.get_logged_metadata()

    make_job(owner, "https://example.com/told", "https://example.com/spared", "https://example.com/gone")
    busy = ScrapingError("http_5xx", "busy", retryable=True, http_status=503, retry_after_seconds=60)
    told = fetch(busy, HostPausedError(60), ScrapingError("http_4xx", "gone", http_status=404))
    assert (told["pages_failed"].value, told["pages_retried"].value) == (1, 2)
    assert told["errors"].value == "http_5xx 1, host_paused 1, http_4xx 1"
    assert "could not be fetched, by error: http_5xx 1" in capsys.readouterr().err
    rows = owner.execute(
        "SELECT i.status, i.attempts, i.waiting_reason, q.ready_at > now() + interval '50 seconds' "
        "FROM cixml.job_items i LEFT JOIN cixml.work_queue q ON q.item_id = i.id ORDER BY i.ordinal"
    ).fetchall()
    assert rows == [
        ("queued", 1, "http_5xx", True),
        ("queued", 0, "host_paused", True),
        ("failed", 1, None, None),
    ]
    held = owner.execute("SELECT host, not_before > now() + interval '50 seconds' FROM cixml.hosts").fetchall()
    assert held == [("example.com", True)]

    owner.execute("UPDATE cixml.job_items SET paused_since = paused_since - interval '1 day'")
    for errors in ([busy, HostPausedError(60)], [busy]):
        owner.execute("DELETE FROM cixml.hosts")
        owner.execute("UPDATE cixml.work_queue SET ready_at = now()")
        fetch(*errors)
    rows = owner.execute(
        "SELECT status, attempts, error ->> 'code', error -> 'retryable' FROM cixml.job_items"
    ).fetchall()
    assert sorted(rows) == [
        ("failed", 1, "host_paused", True),
        ("failed", 1, "http_4xx", False),
        ("failed", 3, "http_5xx", True),
    ]


class PoliteFetcher:
    """Pages of one host get their turn, the other's wait for theirs for ever."""

    def __init__(self) -> None:
        self._both_have_turns = asyncio.Barrier(2)

    async def fetch(self, url: str, *, on_turn: Callable[[], None], **validators: str | None) -> FetchedPage:
        if "slow" in url:
            await asyncio.sleep(600)
        on_turn()
        await self._both_have_turns.wait()
        await asyncio.sleep(0.0 if url.endswith("first") else 0.6)
        return make_page(url=url)


def test_after_a_stop_only_pages_that_have_their_turn_go_on(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"https://slow.example.com/{number}" for number in range(3)]
    make_job(owner, *urls, "https://example.com/first", "https://example.com/second")
    (claimed,) = claim_all(pipeline)
    work = RunWork(run_of_batch(claimed.batch_id), parts)
    lease, _ = work.of_model(None)
    fakes = SimpleNamespace(loop=BackgroundLoop(), fetcher=PoliteFetcher())
    monkeypatch.setattr("resources.orchestration.fetching.runtime", lambda: fakes)
    stream = FetchResource().stream(lease)
    outcomes = iter(stream)
    fetched = [next(outcomes).item.url]
    stream.stop()
    fetched += [outcome.item.url for outcome in outcomes]
    assert fetched == ["https://example.com/first", "https://example.com/second"]
    assert len(stream.unstarted) == 3
    work.close()


class CountingFetcher:
    """Counts what it was asked for and nobody has taken yet."""

    def __init__(self) -> None:
        self.held: Counter[bool] = Counter()
        self.most: Counter[bool] = Counter()

    async def fetch(self, url: str, *, is_sitemap: bool, **more: object) -> FetchedPage:
        self.held[is_sitemap] += 1
        self.most[is_sitemap] = max(self.most[is_sitemap], self.held[is_sitemap])
        return make_page(url=url)


def test_few_sitemaps_are_in_memory_at_once_and_they_come_before_pages(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_worker(owner, slots=1)
    make_job(owner, *(f"https://example.com/{number}" for number in range(25)))
    owner.execute("UPDATE cixml.job_items SET kind = 'sitemap' WHERE ordinal >= 18")
    (claimed,) = claim_all(pipeline)
    work = RunWork(run_of_batch(claimed.batch_id), parts)
    fetcher = CountingFetcher()
    fakes = SimpleNamespace(loop=BackgroundLoop(), fetcher=fetcher)
    monkeypatch.setattr("resources.orchestration.fetching.runtime", lambda: fakes)
    kinds = []
    for outcome in FetchResource().stream(work.of_model(None)[0]):
        kinds.append(outcome.item.kind)
        fetcher.held[outcome.item.is_sitemap] -= 1
    assert kinds == ["sitemap"] * 7 + ["page"] * 18
    assert 1 < fetcher.most[True] <= SITEMAPS_AT_ONCE
    assert SITEMAPS_AT_ONCE < fetcher.most[False] <= FETCHES_AT_ONCE
    work.close()


def test_hosts_of_a_batch_are_asked_in_turn(
    owner: psycopg.Connection[Any], parts: Runtime, pipeline: PipelineDatabase
) -> None:
    make_job(owner, *(f"https://{host}.example.com/{number}" for host in "ab" for number in range(3)))
    owner.execute("UPDATE cixml.job_items SET host = split_part(url, '/', 3)")
    (claimed,) = claim_all(pipeline)
    work = RunWork(run_of_batch(claimed.batch_id), parts)
    with work.of_model(None)[0].reading() as connection:
        items = pages.fetch_items(connection, batch_id=claimed.batch_id)
    assert [(item.url or "")[8] for item in items] == ["a", "b"] * 3
    work.close()
