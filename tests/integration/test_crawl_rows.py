"""A crawl by the rows: what pages name becomes items of their job, whoever works on them and whenever a run dies."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import psycopg
import pytest
import pytest_asyncio

from resources import fail_points
from resources.errors import ChunkingError, ExtractorUnavailableError, ScrapingError
from resources.orchestration import tags
from resources.orchestration.fetching import outcome_of
from resources.orchestration.page_io_manager import PageIOManager
from resources.orchestration.runtime import Runtime
from resources.orchestration.streams import FetchOutcome, FetchStream
from resources.orchestration.work import RunWork
from resources.postgres import batches, chunks, crawls, items, pages, removals
from resources.postgres.chunks import ChunkedVersion
from resources.postgres.crawls import Added, FoundItem
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.pages import FetchItem
from resources.postgres.queries import query
from resources.types import PageLinks
from tests.api import Api, running_api
from tests.builders import make_job, make_page, make_worker
from tests.database import Database
from tests.rows import begin, claim_all, extracted

SITE = "https://docs.example.com"


@pytest_asyncio.fixture
async def api(database: Database, owner: psycopg.Connection[Any], tmp_path: Path) -> AsyncIterator[Api]:
    make_worker(owner, slots=8)
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


@pytest.fixture
def parts(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    found = Runtime(database.settings())
    monkeypatch.setattr("resources.orchestration.crawling.runtime", lambda: found)
    yield found
    found.database.close()


class Site:
    """What the pages of a site name, by path. It is the extractor of these tests, and it counts what it reads."""

    def __init__(
        self,
        links: Mapping[str, PageLinks | Exception],
        missing: Sequence[str] = ("/robots.txt", "/missing", "/gone"),
        **tags: Sequence[str],
    ) -> None:
        """`tags`: the paths of pages that ask for `noindex` or `nofollow`."""
        self.links = links
        self.missing = missing
        self.tags = tags
        self.read: list[str] = []

    async def __call__(self, *, kind: str, body: bytes, content_type: str, charset: str | None, url: str) -> PageLinks:
        path = url.removeprefix(SITE)
        assert body.startswith(url.encode())  # also of a page that came unchanged
        self.read.append(path)
        found = self.links.get(path, PageLinks())
        if isinstance(found, Exception):
            raise found
        return found

    def outcome(self, item: FetchItem) -> FetchOutcome:
        assert item.url is not None
        if item.url.removeprefix(SITE) in self.missing:
            return FetchOutcome(item=item, error=ScrapingError("http_4xx", "none", http_status=404))
        asked = {f"is_{tag}": item.url.removeprefix(SITE) in paths for tag, paths in self.tags.items()}
        return outcome_of(item, replace(make_page(item.url.encode(), url=item.url), **asked))


def links(*paths: str, canonical: str | None = None) -> PageLinks:
    return PageLinks(
        pages=[path if "//" in path else SITE + path for path in paths],
        canonical=SITE + canonical if canonical else None,
    )


async def crawl(api: Api, *paths: str, **rules: Any) -> str:
    body = {"corpus": "docs", "urls": [SITE + path for path in paths or ("/",)], "crawl": {"mode": "links", **rules}}
    answer = await api.post("/v1/jobs", body)
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["id"]
    return found


def fetch_all(parts: Runtime, site: Site, monkeypatch: pytest.MonkeyPatch, *, rounds: int = 10) -> None:
    """Take what waits through the fetch, round after round, as the runs of the sensor do."""
    for _ in range(rounds):
        claimed = claim_all(parts.database)
        if not claimed:
            return
        for batch in claimed:
            fetch_batch(parts, site, batch.batch_id, monkeypatch)


def fetch_batch(parts: Runtime, site: Site, batch_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    work = RunWork(dg.DagsterRun(job_name="test", run_id=str(batch_id), tags={tags.BATCH: str(batch_id)}), parts)
    monkeypatch.setattr("resources.orchestration.page_io_manager.work_of", lambda _: work)
    lease, _ = work.of_model(None)
    with lease.reading() as connection:
        found = pages.fetch_items(connection, batch_id=batch_id)
    outcomes = [site.outcome(item) for item in found]
    stream = FetchStream(lease=lease, items=found, outcomes=outcomes, stopped=threading.Event(), reader=site)
    try:
        PageIOManager().handle_output(dg.build_output_context(), stream)
        with lease.transaction() as connection:  # what was stored is chunked elsewhere: here it is done
            open_items = batches.open_items(connection, batch_id=batch_id)
            done = [each.item_id for each in open_items if each.status == "chunking"]
            lease.end_items(connection, [items.ItemEnd(item_id=each, status=items.ItemStatus.INDEXED) for each in done])
    finally:
        work.close()


def rows_of(owner: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT replace(i.url, %s, ''), i.depth, i.status, replace(p.url, %s, '') FROM cixml.job_items i "
        "LEFT JOIN cixml.job_items p ON p.id = i.parent_item_id ORDER BY i.created_at, i.ordinal",
        [SITE, SITE],
    ).fetchall()


def make_live(owner: psycopg.Connection[Any]) -> None:
    """Let what was fetched be live, as after its flip."""
    owner.execute(
        "UPDATE cixml.documents d SET live_version_id = v.id, fetch_seq = v.fetch_seq FROM cixml.document_versions v "
        "WHERE v.document_id = d.id"
    )


def delete_removed(pipeline: PipelineDatabase) -> int:
    """Do what lifeline does with pages that are gone; return how many there were."""
    for count in range(100):
        with pipeline.transaction() as connection:
            page = removals.take(connection)
            if page is None:
                return count
            removals.delete(connection, page)
    raise AssertionError("there is no end")


def store_texts(pipeline: PipelineDatabase, batch: batches.Batch, texts: Mapping[str, str]) -> None:
    """Fetch and cut the items of a batch, each with its own body and with a text by its path."""
    with pipeline.transaction() as connection:
        waiting = pages.fetch_items(connection, batch_id=batch.batch_id)
        fp = batch.serving.chunking_fp
        pages.store_pages(
            connection, [(item, make_page(str(item.url).encode(), url=str(item.url))) for item in waiting]
        )
        versions = pages.versions_to_chunk(connection, batch_id=batch.batch_id, chunking_fp=fp)
        chunks.store(
            connection,
            batch_id=batch.batch_id,
            chunking_fp=fp,
            versions=[
                ChunkedVersion(version=each, document=extracted(texts[each.url_key.removeprefix(SITE)]))
                for each in versions
            ],
        )


async def test_links_become_items_once_to_the_depth_and_the_job_ends_with_the_last(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(
        {
            "/": links("/a", "/b", "/a#x", "https://elsewhere.example/", "/x.png", "/old/c"),
            "/a": links("/", "/b", "/deep"),
            "/deep": links("/deeper"),
        }
    )
    job = await crawl(api, max_depth=2, exclude=["/old/**"])
    fetch_all(parts, site, monkeypatch)
    assert rows_of(owner) == [
        ("/", 0, "indexed", None),
        ("/a", 1, "indexed", "/"),
        ("/b", 1, "indexed", "/"),
        ("/deep", 2, "indexed", "/a"),
    ]
    assert "/deep" in site.read  # for its canonical address; its links are too deep
    told = (await api.get(f"/v1/jobs/{job}")).json()
    assert (told["status"], told["items"]["total"], told["crawl"]["pages_found"]) == ("succeeded", 4, 4)
    assert (told["crawl"]["exclude"], told["crawl"]["pages_left_out"]) == (["/old/**"], 0)
    item = (await api.get(f"/v1/jobs/{job}/items")).json()["content"][3]
    assert (item["kind"], item["depth"], item["parent_item_id"] is None) == ("page", 2, False)


async def test_a_run_that_dies_between_adds_all_of_a_page_or_nothing(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site({"/": links("/a", "/b")})
    await crawl(api)

    def die(point: str) -> None:
        if point == fail_points.PAGES_STORED:
            raise RuntimeError("killed")

    with monkeypatch.context() as killed:
        killed.setattr(fail_points, "reach", die)
        with pytest.raises(RuntimeError, match="killed"):
            fetch_all(parts, site, monkeypatch, rounds=1)
    assert [row[:2] for row in rows_of(owner)] == [("/", 0)]
    assert owner.execute("SELECT items_total, items_open, pages_found FROM cixml.jobs").fetchall() == [(1, 1, 1)]
    fetch_all(parts, site, monkeypatch)
    assert [row[:3] for row in rows_of(owner)] == [("/", 0, "indexed"), ("/a", 1, "indexed"), ("/b", 1, "indexed")]
    assert owner.execute("SELECT items_total, items_open, status FROM cixml.jobs").fetchall() == [(3, 0, "succeeded")]


async def test_two_runs_at_once_keep_to_the_pages_of_the_job(
    api: Api, pipeline: PipelineDatabase, database: Database, owner: psycopg.Connection[Any]
) -> None:
    await crawl(api, "/1", "/2", max_pages=12)
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    with pipeline.transaction() as connection:
        parents = [item.item_id for item in batches.open_items(connection, batch_id=batch.batch_id)]
    start, added = threading.Barrier(2), []

    def add(parent: UUID, name: str) -> None:
        own = PipelineDatabase(database.pipeline_url)
        found = [page(f"/{name}/{n}") for n in range(8)] + [page(f"/both/{n}") for n in range(4)]
        start.wait()
        with own.transaction() as connection:
            items.lock_jobs(connection, [parent])
            added.append(crawls.add(connection, parent_id=parent, found=found, room=1000))
        own.close()

    threads = [threading.Thread(target=add, args=pair) for pair in zip(parents, "xy", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(each.pages for each in added) == [0, 10]
    assert sum(each.left_out for each in added) == (12 - 10) + (12 - 2)  # the second run finds two of its pages there
    assert owner.execute("SELECT pages_found, items_total, items_open, pages_left_out FROM cixml.jobs").fetchall() == [
        (12, 12, 12, 12)
    ]
    ordinals = owner.execute("SELECT array_agg(ordinal ORDER BY ordinal) FROM cixml.job_items").fetchone()
    assert ordinals == (list(range(12)),)


def page(path: str, **more: Any) -> FoundItem:
    return FoundItem(url=SITE + path, url_key=SITE + path, host="docs.example.com", **more)


async def test_the_quota_of_the_caller_bounds_a_crawl_too(
    api: Api, pipeline: PipelineDatabase, owner: psycopg.Connection[Any]
) -> None:
    await crawl(api)
    (claimed,) = claim_all(pipeline)
    begin(pipeline, claimed.batch_id)
    (item_id, caller_id) = owner.execute("SELECT id, caller_id FROM cixml.job_items").fetchone() or (None, "")
    with pipeline.transaction() as connection:
        items.lock_jobs(connection, [item_id])
        room = crawls.room_of_caller(connection, caller_id=caller_id, queued_pages=3)
        assert room == 2
        found = [page(f"/{n}") for n in range(5)]
        assert crawls.add(connection, parent_id=item_id, found=found, room=room) == Added(pages=2, left_out=3)
        assert crawls.room_of_caller(connection, caller_id=caller_id, queued_pages=3) == 0
        assert crawls.room_of_caller(connection, caller_id=caller_id, queued_pages=0) > 10**6


async def test_a_crawl_waits_for_what_the_caller_submits_meanwhile_and_counts_it(
    api: Api,
    parts: Runtime,
    database: Database,
    owner: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await crawl(api)
    (caller_id,) = owner.execute("SELECT caller_id FROM cixml.jobs").fetchone() or ("",)
    few = Runtime(database.settings(limits={"queued_pages": 5}))
    site = Site({"/": links("/a", "/b", "/c", "/d")})
    run = threading.Thread(target=fetch_all, args=[few, site, monkeypatch], kwargs={"rounds": 1})
    with owner.transaction():
        owner.execute(query("begin_writing"), [caller_id])
        owner.execute(query("lock_quota"))
        run.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        deadline = time.monotonic() + 30
        while owner.execute(waiting).fetchone() != (1,):
            assert time.monotonic() < deadline, "the run does not wait"
            time.sleep(0.01)
        other_locks = "SELECT pg_try_advisory_xact_lock(hashtextextended(corpus_id::text, 0)) FROM cixml.jobs"
        assert owner.execute(other_locks).fetchone() == (True,)  # which the submission may wait for itself
        owner.execute("SELECT FROM cixml.jobs FOR UPDATE NOWAIT")
        make_job(owner, f"{SITE}/x", f"{SITE}/y", caller=caller_id, corpus="other")
    run.join(30)
    few.database.close()
    assert owner.execute("SELECT pages_found, pages_left_out FROM cixml.jobs WHERE crawl IS NOT NULL").fetchall() == [
        (1 + 5 - 3, 4 - 2)
    ]


async def test_of_a_family_a_bounded_number_is_taken(
    api: Api, pipeline: PipelineDatabase, owner: psycopg.Connection[Any]
) -> None:
    await crawl(api)
    (claimed,) = claim_all(pipeline)
    begin(pipeline, claimed.batch_id)
    (item_id,) = owner.execute("SELECT id FROM cixml.job_items").fetchone() or (None,)
    months: Sequence[FoundItem] = [page(f"/cal/{n}", family="/cal/0", family_urls=3) for n in range(12)]
    with pipeline.transaction() as connection:
        items.lock_jobs(connection, [item_id])
        assert crawls.add(connection, parent_id=item_id, found=months[:2], room=99).pages == 2
        assert crawls.add(connection, parent_id=item_id, found=[*months, page("/a")], room=99).pages == 2
    urls = {row[0] for row in rows_of(owner)}
    assert urls == {"/", "/cal/0", "/cal/1", "/cal/2", "/a"}


async def test_what_pages_ask_of_robots_is_done(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {
        "/": links("/list", "/dead-end", "/plain"),
        "/list": links("/found", canonical="/plain"),
        "/dead-end": links("/never"),
    }
    job = await crawl(api)
    fetch_all(parts, Site(named, noindex=["/list"], nofollow=["/dead-end"]), monkeypatch)
    assert [row[:3] for row in rows_of(owner)] == [
        ("/", 0, "indexed"),
        ("/list", 1, "skipped"),
        ("/dead-end", 1, "indexed"),
        ("/plain", 1, "indexed"),
        ("/found", 2, "indexed"),
    ]
    told = {each["url"]: each for each in (await api.get(f"/v1/jobs/{job}/items")).json()["content"]}
    assert told[f"{SITE}/list"]["error"]["code"] == "robots_noindex"
    assert (told[f"{SITE}/list"]["error"]["retryable"], told[f"{SITE}/list"]["duplicate_of"]) == (False, None)


async def test_a_page_that_comes_to_ask_not_to_be_indexed_leaves_the_corpus(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"corpus": "docs", "urls": [f"{SITE}/a", f"{SITE}/b"]}
    await api.post("/v1/jobs", body)
    fetch_all(parts, Site({}, noindex=["/b"]), monkeypatch)
    make_live(owner)
    job = (await api.post("/v1/jobs", body)).json()["id"]
    fetch_all(parts, Site({}, noindex=["/a", "/b"]), monkeypatch)
    told = (await api.get(f"/v1/jobs/{job}/items")).json()["content"]
    assert [(each["status"], each["change"], each["error"]["code"]) for each in told] == [
        ("skipped", "removed", "robots_noindex"),
        ("failed", None, "robots_noindex"),
    ]
    assert delete_removed(parts.database) == 1
    assert owner.execute("SELECT count(*) FROM cixml.documents WHERE deleted_at IS NULL").fetchone() == (0,)


async def test_a_cancelled_job_takes_nothing_more(
    api: Api, pipeline: PipelineDatabase, owner: psycopg.Connection[Any]
) -> None:
    job = await crawl(api)
    (claimed,) = claim_all(pipeline)
    begin(pipeline, claimed.batch_id)
    assert (await api.post(f"/v1/jobs/{job}/cancel", {})).status_code == 202
    (item_id,) = owner.execute("SELECT id FROM cixml.job_items").fetchone() or (None,)
    with pipeline.transaction() as connection:
        items.lock_jobs(connection, [item_id])
        assert crawls.add(connection, parent_id=item_id, found=[page("/a")], room=9) == Added()


async def test_the_sitemaps_of_a_host_are_items_without_documents(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = PageLinks(sitemaps=[f"{SITE}/s1.xml", f"{SITE}/s2.xml", "https://elsewhere.example/s.xml"])
    site = Site(
        {
            "/sitemap.xml": index,
            "/s1.xml": links("/a", "/b", "https://elsewhere.example/c"),
            "/s2.xml": ChunkingError("sitemap_invalid", "the sitemap is no well-formed XML"),
            "/a": links("/never"),
        }
    )
    job = await crawl(api, mode="sitemap")
    fetch_all(parts, site, monkeypatch)
    assert [row[:3] for row in rows_of(owner)] == [
        ("/", 0, "indexed"),
        ("/robots.txt", 0, "skipped"),
        ("/sitemap.xml", 1, "skipped"),
        ("/s1.xml", 2, "skipped"),
        ("/s2.xml", 2, "failed"),
        ("/a", 3, "indexed"),
        ("/b", 3, "indexed"),
    ]
    told = (await api.get(f"/v1/jobs/{job}/items", params={"status": "failed"})).json()["content"]
    assert [(each["kind"], each["failed_stage"], each["error"]["code"]) for each in told] == [
        ("sitemap", "scraping", "sitemap_invalid")
    ]
    assert (await api.get(f"/v1/jobs/{job}")).json()["crawl"]["pages_found"] == 3


async def test_a_page_with_another_canonical_address_is_skipped_for_that_one(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(
        {
            "/": links("/print/a", "/x", "/y", "/lost"),
            "/print/a": links(canonical="/a"),
            "/x": links(canonical="/y"),
            "/y": links(canonical="/x"),
            "/lost": links(canonical="/missing"),
        }
    )
    await crawl(api, max_depth=1)
    fetch_all(parts, site, monkeypatch)
    statuses = {row[0]: row[2] for row in rows_of(owner)}
    assert (statuses["/print/a"], statuses["/a"]) == ("skipped", "indexed")
    assert sorted([statuses["/x"], statuses["/y"]]) == ["indexed", "skipped"]  # one stands for both
    named = owner.execute(
        "SELECT replace(o.url, %s, '') FROM cixml.job_items i JOIN cixml.job_items o ON o.id = i.duplicate_of "
        "WHERE i.url = %s",
        [SITE, f"{SITE}/print/a"],
    ).fetchall()
    assert named == [("/a",)]


async def test_pages_wait_for_the_extractor_and_count_no_try(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await crawl(api)
    fetch_all(parts, Site({"/": ExtractorUnavailableError()}), monkeypatch, rounds=1)
    assert owner.execute("SELECT status, attempts, waiting_reason FROM cixml.job_items").fetchall() == [
        ("queued", 0, "extractor_unavailable")
    ]


@pytest.mark.parametrize(
    ("crawl", "pointer"),
    [
        ({"mode": "all"}, "/crawl/mode"),
        ({"mode": "links", "max_depth": 11}, "/crawl/max_depth"),
        ({"mode": "links", "max_pages": 10_001}, "/crawl/max_pages"),
        ({"mode": "links", "include": ["docs/**"]}, "/crawl/include/0"),
        ({"mode": "links", "exclude": ["/" + "x" * 200]}, "/crawl/exclude/0"),
        ({"mode": "links", "max_pages": 1}, "/crawl/max_pages"),
        ({"mode": "links", "depth": 1}, "/crawl/depth"),
    ],
)
async def test_rules_that_make_no_sense_are_refused(api: Api, crawl: dict[str, Any], pointer: str) -> None:
    answer = await api.post("/v1/jobs", {"corpus": "docs", "urls": [f"{SITE}/1", f"{SITE}/2"], "crawl": crawl})
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_the_same_crawl_again_looks_at_what_is_linked_no_more_and_reports_what_is_gone(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await crawl(api)
    fetch_all(parts, Site({"/": links("/gone", "/kept"), "/gone": PageLinks()}, missing=()), monkeypatch)
    make_live(owner)
    job = await crawl(api)
    fetch_all(parts, Site({"/": links()}), monkeypatch)
    told = (await api.get(f"/v1/jobs/{job}/items")).json()["content"]
    assert [(each["url"].removeprefix(SITE), each["status"], each["change"]) for each in told] == [
        ("/", "unchanged", "unchanged"),
        ("/gone", "skipped", "removed"),
        ("/kept", "unchanged", "unchanged"),
    ]
    assert told[1]["error"]["http_status"] == 404
    assert delete_removed(parts.database) == 1
    assert owner.execute("SELECT url FROM cixml.documents WHERE deleted_at IS NOT NULL").fetchall() == [
        (f"{SITE}/gone",)
    ]
    assert owner.execute("SELECT kind, corpus, status FROM cixml.receipts").fetchall() == [
        ("document", "docs", "pending")
    ]


async def test_what_left_the_sitemap_is_gone_unless_a_sitemap_could_not_be_read(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sitemap(*paths: str) -> Site:
        return Site({"/sitemap.xml": links(*paths)}, missing=())

    await crawl(api, "/sitemap.xml", mode="sitemap")
    fetch_all(parts, sitemap("/a", "/b"), monkeypatch)
    make_live(owner)
    broken = Site({"/sitemap.xml": ChunkingError("sitemap_invalid", "broken")})
    job = await crawl(api, "/sitemap.xml", mode="sitemap")
    fetch_all(parts, broken, monkeypatch)
    assert (await api.get(f"/v1/jobs/{job}")).json()["items"]["total"] == 1

    other = await crawl(api, "/sitemap.xml", mode="sitemap", max_pages=7)  # another crawl: it found nothing before
    fetch_all(parts, sitemap("/a"), monkeypatch)
    assert (await api.get(f"/v1/jobs/{other}")).json()["items"]["total"] == 2

    job = await crawl(api, "/sitemap.xml", mode="sitemap")
    fetch_all(parts, sitemap("/a"), monkeypatch)
    told = (await api.get(f"/v1/jobs/{job}/items")).json()["content"]
    assert [(each["url"].removeprefix(SITE), each["status"], each["change"]) for each in told] == [
        ("/sitemap.xml", "skipped", None),
        ("/a", "unchanged", "unchanged"),
        ("/b", "skipped", "removed"),
    ]
    summary = (await api.get(f"/v1/jobs/{job}")).json()
    assert (summary["status"], summary["items"]["total"], summary["progress"]) == ("succeeded", 3, 1.0)
    assert delete_removed(parts.database) == 1


async def test_a_page_that_came_back_before_it_was_deleted_stays(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await crawl(api, "/gone")
    fetch_all(parts, Site({}, missing=()), monkeypatch)
    make_live(owner)
    await crawl(api, "/gone")
    fetch_all(parts, Site({}), monkeypatch)
    owner.execute("UPDATE cixml.documents SET checked_at = now()")
    assert delete_removed(parts.database) == 1
    assert owner.execute("SELECT count(*) FROM cixml.documents WHERE deleted_at IS NULL").fetchone() == (1,)
    assert owner.execute("SELECT count(*) FROM cixml.removed_pages").fetchone() == (0,)


async def test_a_new_page_that_repeats_a_text_of_the_corpus_makes_no_document(
    api: Api, pipeline: PipelineDatabase, owner: psycopg.Connection[Any]
) -> None:
    job = await crawl(api)
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    (seed,) = owner.execute("SELECT id FROM cixml.job_items").fetchone() or (None,)
    with pipeline.transaction() as connection:
        items.lock_jobs(connection, [seed])
        crawls.add(connection, parent_id=seed, found=[page("/one"), page("/two"), page("/other")], room=9)
    store_texts(pipeline, batch, {"/": "Home."})
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id, "run-2")
    store_texts(pipeline, batch, {"/one": "The same.", "/two": "The same.", "/other": "Home."})
    with pipeline.transaction() as connection:
        open_items = [item.item_id for item in batches.open_items(connection, batch_id=batch.batch_id)]
        ended = crawls.end_repeated(connection, batch_id=batch.batch_id, item_ids=open_items)
    assert [each.status for each in ended] == ["skipped", "skipped"]
    told = {each["url"].removeprefix(SITE): each for each in (await api.get(f"/v1/jobs/{job}/items")).json()["content"]}
    assert {path: each["status"] for path, each in told.items()} == {
        "/": "embedding",
        "/one": "embedding",
        "/two": "skipped",
        "/other": "skipped",
    }
    assert (told["/two"]["duplicate_of"], told["/other"]["duplicate_of"]) == (told["/one"]["id"], told["/"]["id"])
    assert told["/two"]["document_id"] == told["/one"]["document_id"]


async def test_a_page_that_came_unchanged_is_read_as_it_is_stored(
    api: Api, parts: Runtime, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unchanged(Site):
        def outcome(self, item: FetchItem) -> FetchOutcome:
            assert item.url is not None
            body = item.url.encode()
            if item.url.endswith("/quiet"):
                body += b'<meta name="robots" content="nofollow">'
            return FetchOutcome(item=item, page=make_page(None if item.live_version_id else body, url=item.url))

    await crawl(api, "/", "/quiet", max_depth=0)
    fetch_all(parts, Unchanged({}), monkeypatch)
    make_live(owner)
    owner.execute("UPDATE cixml.document_versions SET text = 'The text layer.'")
    await crawl(api, "/", "/quiet")
    fetch_all(parts, Unchanged({"/": links("/a"), "/quiet": links("/never")}), monkeypatch)
    assert [row[:3] for row in rows_of(owner)][2:] == [
        ("/", 0, "unchanged"),
        ("/quiet", 0, "unchanged"),
        ("/a", 1, "indexed"),
    ]
