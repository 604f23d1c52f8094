"""The main job when something dies or is away: it waits or starts again, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from resources.orchestration.pgvector_io_manager import LEAST_OUTAGE_WAIT_SECONDS
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import Page, WebServer
from tests.pipeline.dagster_api import DagsterApi
from tests.stack import Stack, ended, poll

PAGES = 30
TRIES = 3
CHUNKS_OF = """
SELECT d.url_key, c.ordinal, c.chunk_hash::text, c.start_offset, c.end_offset
FROM cixml.corpora k JOIN cixml.documents d ON d.corpus_id = k.id
JOIN cixml.index_versions v ON v.corpus_id = k.id AND v.state = 'serving'
JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = v.chunking_fp
JOIN cixml.chunks c ON c.chunk_set_id = s.id WHERE k.name = %s ORDER BY 1, 2
"""
STORED = """
SELECT count(*) FROM cixml.usage_ledger u JOIN cixml.corpora k ON k.id = u.corpus_id WHERE k.name = %s
"""
LONGEST_PAUSE_OF = """
SELECT coalesce(ceil(extract(epoch FROM max(i.next_attempt_at) - now())), 0) FROM cixml.job_items i
JOIN cixml.corpora k ON k.id = i.corpus_id WHERE k.name = %s AND i.finished_at IS NULL
"""
RUNS_OF = """
SELECT count(*) FROM cixml.batches b JOIN cixml.corpora k ON k.id = b.corpus_id WHERE k.name = %s
"""
RUNNING = """
SELECT b.run_id FROM cixml.batches b JOIN cixml.corpora k ON k.id = b.corpus_id
WHERE k.name = %s AND b.state = 'running'
"""


def long_page(number: int) -> Page:
    paragraphs = "".join(
        f"<p>{' '.join(f'word{number}x{part}x{word}' for word in range(60))}. And so on and so forth.</p>"
        for part in range(8)
    )
    return Page(f"<html><body><main><h1>Page {number}</h1>{paragraphs}</main></body></html>")


@pytest.fixture
def site() -> Iterator[WebServer]:
    with WebServer({f"/{number}": long_page(number) for number in range(PAGES)}) as server:
        yield server


@pytest.fixture
def slow_server(embedding_server: EmbeddingServer) -> Iterator[EmbeddingServer]:
    """Make the embedding server slow enough to be caught in the middle of a batch."""
    embedding_server.latency_seconds = 0.4
    yield embedding_server
    embedding_server.latency_seconds = 0.0


def urls_of(site: WebServer) -> list[str]:
    return [f"{site.url}/{number}" for number in range(PAGES)]


def count(owner: psycopg.Connection[Any], statement: str, corpus: str) -> int:
    row = owner.execute(statement.encode(), [corpus]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.slow
def test_a_killed_run_worker_costs_nothing_but_time(
    stack: Stack, site: WebServer, slow_server: EmbeddingServer, owner: psycopg.Connection[Any], dagster_api: DagsterApi
) -> None:
    with stack.client() as client:
        ended(client, client.submit("faultless", urls_of(site))["id"])
        faultless = owner.execute(CHUNKS_OF.encode(), ["faultless"]).fetchall()
        distinct = len({row[2] for row in faultless})
    slow_server.reset_stats()
    with stack.client() as client:  # another caller: the ledger counts a text once per caller
        job = client.submit("killed", urls_of(site))
        poll(lambda: count(owner, STORED, "killed") >= distinct / 2, "half the texts stored", timeout_seconds=90)
        dead_runs = [row[0] for row in owner.execute(RUNNING.encode(), ["killed"])]
        kill_children(stack.pid("worker"))
        killed_at = time.monotonic()
        poll(lambda: slow_server.stats.in_flight == 0, "the end of what the server works on")
        lost = slow_server.stats.texts - count(owner, STORED, "killed")
        assert ended(client, job["id"])["status"] == "succeeded"
        assert time.monotonic() - killed_at < 60
    assert owner.execute(CHUNKS_OF.encode(), ["killed"]).fetchall() == faultless
    assert count(owner, STORED, "killed") == distinct
    assert dead_runs, "the kill came too late"
    statuses = {run["runId"]: run["status"] for run in dagster_api.runs(corpus_prefix="killed-")}
    assert {statuses[run_id] for run_id in dead_runs} == {"FAILURE"}
    paid_twice = slow_server.stats.texts - distinct
    assert paid_twice <= lost, f"{paid_twice} texts were paid twice; {lost} were on their way or not yet stored"
    assert lost <= 0.15 * distinct, f"{lost} of {distinct} texts were on their way or not yet stored"


def kill_children(pid: int) -> None:
    """Kill every process that executes runs, without warning."""
    for child in psutil.Process(pid).children():
        os.kill(child.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_job_outlives_an_embedding_server_that_is_down_for_several_tries(
    stack: Stack, site: WebServer, embedding_server: EmbeddingServer, owner: psycopg.Connection[Any]
) -> None:
    health_url = f"{stack.status().api_url}/healthz"

    def breaker_state() -> str:
        return str(httpx.get(health_url).json()["embedding"][0]["breaker"])

    key = stack.new_key()
    with stack.client(key) as client:
        embedding_server.go_down()
        down_at = time.monotonic()
        try:
            job = client.submit("patient", urls_of(site)[:5])
            poll(lambda: breaker_state() == "open", "the open breaker in /healthz")
            waiting = poll(lambda: list(client.items(job["id"], status="queued")), "waiting items")
            assert {item["waiting_reason"] for item in waiting} <= {"breaker_open", "embedding_unavailable"}
            search = httpx.post(
                f"{stack.status().api_url}/v1/corpora/patient/search",
                json={"query": "anything"},
                headers={"Authorization": f"Bearer {key}"},
            )
            assert search.status_code == 503
            assert int(search.headers["retry-after"]) >= 1
            poll(lambda: count(owner, RUNS_OF, "patient") >= TRIES, "further tries", timeout_seconds=90)
            assert time.monotonic() - down_at > LEAST_OUTAGE_WAIT_SECONDS / 2, "a waiting batch is tried all the time"
            poll(lambda: len(list(client.items(job["id"], status="queued"))) == 5, "waiting items again")
            assert client.job(job["id"])["status"] == "running"
            assert count(owner, LONGEST_PAUSE_OF, "patient") <= LEAST_OUTAGE_WAIT_SECONDS
        finally:
            embedding_server.come_back()
        done = ended(client, job["id"])
        items = list(client.items(job["id"], status="indexed"))
    assert done["status"] == "succeeded"
    assert {item["attempts"] for item in items} == {1}
    poll(lambda: breaker_state() == "closed", "the closed breaker")


@pytest.mark.slow
def test_a_killed_lifeline_daemon_and_code_server_come_back_and_the_job_ends(stack: Stack, site: WebServer) -> None:
    with stack.client() as client:
        job = client.submit("reborn", urls_of(site)[:10])
        for name in ("lifeline", "daemon", "code_server"):
            stack.kill(name)
        assert ended(client, job["id"], timeout_seconds=180)["status"] == "succeeded"
