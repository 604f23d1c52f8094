"""A worker that is stopped, replaced or hangs, on the whole product: no try is lost, no job fails."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cixml.embedded.environment import child_environment
from cixml.embedded.state import load_kept
from cixml.embedded.supervisor import Control
from resources.settings import PROJECT_ROOT
from tests.fakes.web_server import Page, WebServer
from tests.pipeline.dagster_api import DagsterApi
from tests.stack import Stack, ended, poll

PAGES = 24
STOP_SECONDS = 30.0
ATTEMPTS = """
SELECT DISTINCT i.attempts FROM cixml.job_items i JOIN cixml.corpora k ON k.id = i.corpus_id WHERE k.name = %s
"""
WORKERS = "SELECT count(*) FROM cixml.workers WHERE seen_at > now() - interval '10 seconds' AND 'x' <> %s"


@contextmanager
def worker(stack: Stack, log: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one more worker with an extractor of its own, as another machine would."""
    own = {
        "CIXML_FETCH__ALLOW_NETWORKS": '["127.0.0.0/8"]',
        "CIXML_EXTRACTOR__SOCKET": str(log.with_suffix(".sock")),
        "CIXML_EXTRACTOR__PROCESSES": "1",
    }
    environment = child_environment(stack.values) | own | settings
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "cixml.worker"],
            env=environment,
            cwd=PROJECT_ROOT,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=STOP_SECONDS)


def page_text(number: int) -> str:
    words = " ".join(f"word{number}x{each}" for each in range(60))
    return f"<html><body><main><h1>Page {number}</h1><p>{words}. And so on and so forth.</p></main></body></html>"


def values(owner: psycopg.Connection[Any], statement: str, corpus: str) -> list[Any]:
    return [row[0] for row in owner.execute(statement.encode(), [corpus]).fetchall()]


@pytest.mark.slow
def test_a_rolling_restart_loses_no_try_and_no_job(
    stack: Stack, owner: psycopg.Connection[Any], dagster_api: DagsterApi, tmp_path: Path
) -> None:
    """The old worker stops in the middle of fetches longer than it may take; the new one does the rest."""
    slow = {f"/{number}": Page(page_text(number), drip_seconds=0.04) for number in range(PAGES)}  # 30 s a page
    with WebServer(slow) as site, stack.client() as client, worker(stack, tmp_path / "worker.log"):
        old = stack.pid("worker")
        job = client.submit("rolled", [f"{site.url}/{number}" for number in range(PAGES)])
        poll(lambda: site.paths, "the first fetch")
        poll(lambda: values(owner, WORKERS, "") == [2], "the new worker", timeout_seconds=90)
        os.kill(stack.pid("code_server"), signal.SIGTERM)  # the supervisor starts it again, with the new code
        os.kill(old, signal.SIGTERM)
        stopped_at = time.monotonic()
        poll(lambda: not is_alive(old), "the end of the old worker", timeout_seconds=STOP_SECONDS)
        assert time.monotonic() - stopped_at < STOP_SECONDS
        for page in slow.values():
            page.options.drip_seconds = 0
        beside = client.submit("rolled-beside", [f"{site.url}/0"])
        for each in (job, beside):
            done = ended(client, each["id"], timeout_seconds=180)
            assert done["status"] == "succeeded", done
    assert values(owner, ATTEMPTS, "rolled") == [1]
    poll(lambda: not dagster_api.unfinished(corpus_prefix="rolled"), "the end of the runs", timeout_seconds=90)
    assert {run["status"] for run in dagster_api.runs(corpus_prefix="rolled")} == {"SUCCESS"}


@pytest.mark.slow
def test_a_run_that_hangs_while_its_heart_beats_is_ended_and_its_page_indexed(
    stack: Stack, owner: psycopg.Connection[Any], tmp_path: Path
) -> None:
    """The run waits in a write for a lock that somebody holds and never gives; its lease is renewed meanwhile."""
    body = page_text(PAGES).encode()
    control = Control(load_kept(stack.home).sockets or Path())
    log = tmp_path / "worker.log"
    control.stop("worker")
    try:
        with (
            WebServer({"/": Page(body)}) as site,
            stack.client() as client,
            worker(stack, log, CIXML_PIPELINE__STALL_SECONDS="7"),
            psycopg.connect(stack.values["DATABASE_URL"]) as holder,
        ):
            holder.execute(
                "INSERT INTO cixml.page_bodies (sha256, body) VALUES (%s, %s)", [hashlib.sha256(body).digest(), body]
            )
            job = client.submit("hung", [f"{site.url}/"])
            poll(lambda: b"made no progress" in log.read_bytes(), "the watchdog", timeout_seconds=60)
            holder.rollback()
            done = ended(client, job["id"])
            assert done["status"] == "succeeded", done
            assert values(owner, ATTEMPTS, "hung")[0] >= 2
            assert b"store_pages" in log.read_bytes()  # where it hung
    finally:
        control.start("worker")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
