"""`kill -9` of each process, and at each place where work is half done: it ends as if nothing had been.

One stack with short leases serves the whole file. "As if nothing had been" is `Books.wrong` and the chunks of a corpus
that nobody disturbed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cixml.backup.make import make_backup
from cixml.backup.restore import restore_backup
from cixml.embedded.leftovers import find_leftovers
from cixml.embedded.stack import stop_stack
from resources import fail_points
from tests.books import UNDER_WAY, Books
from tests.chaos import Chaos, Plan
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import Page, WebServer
from tests.json_client import UnansweredError
from tests.pipeline.dagster_api import DagsterApi
from tests.recovery import SHORT_LEASES, Caller, Target, site_pages
from tests.stack import Stack, poll, running_stack, up

PAGES = 12
JOBS = "SELECT j.status FROM cixml.jobs j JOIN cixml.corpora k ON k.id = j.corpus_id WHERE k.name = %s"
A_RUN = "SELECT run_id FROM cixml.batches WHERE state = 'running' LIMIT 1"
RUN_POINTS = (
    fail_points.CLAIM_COMMITTED,
    fail_points.BATCH_BEGUN,
    fail_points.PAGES_STORED,
    fail_points.CHUNKS_STORED,
    fail_points.VECTORS_COPIED,
    fail_points.VECTORS_COMMITTED,
)
RECOVERY_SECONDS = 45.0
CHAOS = Plan(jobs=60, clients=16, seed=59, kill_every_seconds=2.0, most_kills=4)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(vectors="words") as found:
        yield found


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fail-points")


@pytest.fixture(scope="module")
def hasty(server: EmbeddingServer, points: Path) -> Iterator[Stack]:
    """A stack that notices a death within seconds."""
    with running_stack(server, CIXML_FAIL_POINTS=str(points), **SHORT_LEASES) as found:
        yield found


@pytest.fixture(scope="module")
def site() -> Iterator[WebServer]:
    with WebServer(site_pages(2 * PAGES)) as found:
        yield found


@pytest.fixture(scope="module")
def urls(site: WebServer) -> list[str]:
    return [f"{site.url}/{number}" for number in range(PAGES)]


@pytest.fixture(scope="module")
def books(hasty: Stack) -> Iterator[Books]:
    found = Books(hasty)
    yield found
    found.close()


@pytest.fixture(scope="module")
def faultless(hasty: Stack, books: Books, urls: list[str]) -> set[tuple[str, int, str]]:
    with Caller(hasty) as caller:
        assert caller.ended(caller.submit("faultless", urls), seconds=60)["status"] == "succeeded"
    return books.chunks("faultless")


def of(chunks: set[tuple[str, int, str]], urls: list[str]) -> set[tuple[str, int, str]]:
    return {row for row in chunks if row[0] in urls}


def assert_nothing_is_wrong(books: Books) -> None:
    """Wait for the last run's end, which is written after its job's, and look at everything."""
    poll(
        lambda: not books.ask(UNDER_WAY) and not books.open_runs(),
        "the end of the runs",
        timeout_seconds=RECOVERY_SECONDS,
    )
    assert books.wrong() == {}


@pytest.mark.slow
def test_a_run_that_dies_at_any_point_is_done_again_and_leaves_no_trace(
    hasty: Stack, books: Books, faultless: set[Any], urls: list[str], points: Path, site: WebServer
) -> None:
    """Of a crawl: a run that dies with the sitemap leaves all of its pages to find, or none."""
    with Caller(hasty) as caller:
        jobs = {}
        for number, point in enumerate(RUN_POINTS):
            site.pages[f"/sitemap-{number}.txt"] = Page("\n".join(urls[number : number + 4]), "text/plain")
            (points / point).touch()
            seed = f"{site.url}/sitemap-{number}.txt"
            jobs[point] = caller.submit(f"died-at-{point}", [seed], crawl={"mode": "sitemap"})
            poll(lambda: not (points / point).exists(), point, timeout_seconds=RECOVERY_SECONDS)  # noqa: B023
        for point, job_id in jobs.items():
            job = caller.ended(job_id, seconds=RECOVERY_SECONDS)
            assert (job["status"], job["items"]["total"], job["items"]["indexed"]) == ("succeeded", 5, 4), point
    for number, point in enumerate(RUN_POINTS):
        assert books.chunks(f"died-at-{point}") == of(faultless, urls[number : number + 4]), point
    assert_nothing_is_wrong(books)


def test_an_api_that_dies_before_its_commit_has_accepted_nothing_and_after_it_everything(
    hasty: Stack, books: Books, faultless: set[Any], urls: list[str], points: Path
) -> None:
    key = hasty.new_key()
    with Caller(hasty, key) as caller, hasty.client(key) as hasty_caller:
        (points / fail_points.JOB_INSERTED).touch()
        with pytest.raises(UnansweredError):
            hasty_caller.submit("unheard", urls[:2])
        assert books.ask(JOBS, "unheard") == []
        (points / fail_points.JOB_COMMITTED).touch()
        again = caller.submit("unheard", urls[:2])  # the first try is the one whose answer is lost
        assert caller.ended(again, seconds=RECOVERY_SECONDS)["status"] == "succeeded"
    assert_nothing_is_wrong(books)
    assert books.ask(JOBS, "unheard") == [("succeeded",), ("succeeded",)]
    assert books.chunks("unheard") == of(faultless, urls[:2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "victims",
    [
        ("worker_child", "api"),
        ("daemon", "lifeline"),
        ("worker", "embedding"),
        ("redis", "extractor"),
        ("postgres",),
        ("code_server", "worker"),
    ],
    ids="+".join,
)
def test_killed_processes_come_back_and_the_job_ends(
    hasty: Stack,
    server: EmbeddingServer,
    books: Books,
    faultless: set[Any],
    urls: list[str],
    victims: tuple[str, ...],
    record_property: Any,
) -> None:
    corpus = "killed-" + "-".join(victims).replace("_", "-")
    target = Target(hasty, server)
    server.latency_seconds = 0.3
    with Caller(hasty) as caller:
        under_way = caller.submit(corpus, urls[:8])
        poll(lambda: books.ask(A_RUN), "a run")
        for name in victims:
            target.kill(name)
        killed_at = time.monotonic()
        server.latency_seconds = 0.0
        after = caller.submit(corpus, urls[4:])
        jobs = [caller.ended(job_id, seconds=RECOVERY_SECONDS) for job_id in (under_way, after)]
        record_property("recovery_seconds", round(time.monotonic() - killed_at, 1))
        assert [job["status"] for job in jobs] == ["succeeded", "succeeded"]
        assert sum(job["items"]["indexed"] + job["items"]["unchanged"] for job in jobs) == 16
        assert len(caller.search(corpus, "words of page", top_k=3)) == 3
    assert books.chunks(corpus) == faultless
    assert_nothing_is_wrong(books)
    poll(lambda: not target.orphans(), "the end of the dead processes' children")


@pytest.mark.slow
def test_a_run_that_is_terminated_in_the_ui_gives_its_items_back(
    hasty: Stack, server: EmbeddingServer, books: Books, faultless: set[Any], urls: list[str]
) -> None:
    dagster_url = hasty.status().dagster_url
    assert dagster_url
    dagster_api = DagsterApi(dagster_url)
    server.latency_seconds = 3.0
    with Caller(hasty) as caller:
        job_id = caller.submit("terminated", urls)
        [(run_id,)] = poll(lambda: books.ask(A_RUN), "a run")
        poll(lambda: server.stats.in_flight, "a request to the embedding server")
        dagster_api.terminate(run_id)
        server.latency_seconds = 0.0
        assert caller.ended(job_id, seconds=RECOVERY_SECONDS)["status"] == "succeeded"
    assert_nothing_is_wrong(books)
    assert dagster_api.status(run_id) == "CANCELED"
    assert books.chunks("terminated") == faultless


@pytest.mark.slow
def test_a_load_under_random_kills_loses_and_doubles_nothing_and_shows_nothing_by_halves(
    hasty: Stack, server: EmbeddingServer, site: WebServer, record_property: Any
) -> None:
    report = Chaos(hasty, server, site, CHAOS).run()
    record_property("report", str(report))
    assert report.problems == []
    assert len(report.kills) == CHAOS.most_kills, "the load ended before the last kill"
    assert report.texts_paid <= 1.07 * report.texts_distinct + report.texts_in_flight_at_kills


@pytest.mark.slow
def test_a_killed_supervisor_costs_a_start_and_no_process_outlives_it(
    hasty: Stack, server: EmbeddingServer, books: Books, faultless: set[Any], urls: list[str]
) -> None:
    server.latency_seconds = 0.3
    with Caller(hasty) as caller:
        job_id = caller.submit("headless", urls)
        poll(lambda: books.ask(A_RUN), "a run")
        before = {process.pid for process in find_leftovers(hasty.home)}
        Target(hasty, server).kill("supervisor")
        server.latency_seconds = 0.0
        poll(lambda: hasty.status().state == "stopped", "the supervisor's end")
        up(hasty.home, hasty.given)
        assert before.isdisjoint(process.pid for process in find_leftovers(hasty.home))
        assert caller.ended(job_id, seconds=RECOVERY_SECONDS)["status"] == "succeeded"
    assert_nothing_is_wrong(books)
    assert books.chunks("headless") == faultless


def hits(caller: Caller) -> list[tuple[str, float]]:
    return [(hit["url"], hit["score"]) for hit in caller.search("backed-up", "words of page", top_k=5)]


@pytest.mark.slow
def test_a_backup_under_load_comes_back_and_its_jobs_go_on(
    hasty: Stack,
    server: EmbeddingServer,
    books: Books,
    faultless: set[Any],
    urls: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dagster has a run under way at that moment which nobody works on afterwards."""
    for name, value in hasty.given.items():
        monkeypatch.setenv(name, value)
    server.latency_seconds = 1.0
    with Caller(hasty) as caller:
        job_id = caller.submit("backed-up", urls)
        poll(lambda: books.ask(A_RUN), "a run")
        make_backup(hasty.home, tmp_path / "backup", jobs=2, say=lambda _: None)
        [(run_id,)] = books.ask(A_RUN)
        server.latency_seconds = 0.0
        assert caller.ended(job_id, seconds=RECOVERY_SECONDS)["status"] == "succeeded"
        found = hits(caller)
        lost = caller.submit("after-the-backup", urls[:1])
        caller.ended(lost, seconds=RECOVERY_SECONDS)
        stop_stack(hasty.home)
        assert restore_backup(hasty.home, tmp_path / "backup", overwrite=True, jobs=2, say=lambda _: None) == []
        up(hasty.home, hasty.given)
        assert caller.ended(job_id, seconds=RECOVERY_SECONDS)["status"] == "succeeded"
        assert hits(caller) == found
        assert books.ask(JOBS, "after-the-backup") == []
    dagster_url = hasty.status().dagster_url
    assert dagster_url
    poll(lambda: DagsterApi(dagster_url).status(run_id) == "FAILURE", "the old run's end", timeout_seconds=60)
    assert_nothing_is_wrong(books)
    assert books.chunks("backed-up") == faultless
