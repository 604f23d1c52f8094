"""Starts and stops the yardstick, and submits and searches as its callers do."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import TupleRow

from benchmarks.errors import BenchmarkError
from benchmarks.product import keep_logs, remove_home
from benchmarks.servers import Server, stop_process
from benchmarks.system import Json, Outcome, wait_until
from benchmarks.yardstick.configuration import Configuration
from cixml.embedded.environment import read_env_file
from cixml.embedded.ports import choose_port
from cixml.embedded.stack import start_stack, stop_stack
from cixml.embedded.state import Home
from cixml.embedded.status import read_status
from resources.settings import PROJECT_ROOT

WORKERS = {"scrape": ("scraper", 4), "chunk": ("chunker", 2), "embed": ("embedder", 4)}
"""Module and prefork children of each queue's worker: 10 children in all."""
_SERVERS = ("postgres", "redis")
_START_SECONDS = 60.0
_ENDED = """
SELECT count(DISTINCT j.submission) FROM jobs j LEFT JOIN documents d ON d.job_id = j.id
WHERE j.submission = ANY (%s::uuid[]) AND j.status = 'running' AND d.indexed_at IS NULL
"""
_FAILED = """
SELECT error ->> 'code', count(*)::int FROM jobs
WHERE submission = ANY (%s::uuid[]) AND status = 'failed' GROUP BY 1
"""
_CHUNKS = """
SELECT count(*)::int AS chunks, coalesce(sum(c.token_count), 0)::int AS chunk_tokens
FROM jobs j JOIN documents d USING (corpus, url) JOIN chunks c ON c.document_id = d.id WHERE j.submission = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """A running yardstick."""

    home: Home
    processes: Mapping[str, int]
    http: httpx.Client
    rows: psycopg.Connection[TupleRow]
    started_seconds: float
    name: str = "yardstick"

    def groups(self) -> dict[str, int]:
        return dict(self.processes)

    def submit(self, corpus: str, urls: Sequence[str]) -> str:
        return str(self._call("POST", "/jobs", {"corpus": corpus, "urls": list(urls)})["submission"])

    def open_submissions(self, submissions: Sequence[str]) -> int:
        row = self.rows.execute(_ENDED, [list(submissions)]).fetchone()
        assert row
        return int(row[0])

    def failures(self, submissions: Sequence[str]) -> dict[str, int]:
        return dict(self.rows.execute(_FAILED, [list(submissions)]).fetchall())

    def run_job(self, corpus: str, urls: Sequence[str], *, poll_seconds: float, timeout_seconds: float) -> Outcome:
        begun = time.perf_counter()
        answer = self._call("POST", "/jobs", {"corpus": corpus, "urls": list(urls)})
        posted, submission = time.perf_counter(), answer["submission"]
        wait_until(
            lambda: not self.open_submissions([submission]),
            f"the yardstick did not index {len(urls)} pages",
            poll_seconds=poll_seconds,
            timeout_seconds=timeout_seconds,
        )
        seen = time.perf_counter()
        job = self._call("GET", f"/jobs/{answer['jobs'][-1]}")
        answered = time.perf_counter()
        failed = self.failures([submission])
        return Outcome(
            submission=submission,
            status="partial" if failed else "succeeded",
            failed=failed,
            posted_seconds=posted - begun,
            searchable_seconds=seen - begun,
            answered_seconds=answered - begun,
            job=job,
        )

    def search(self, corpus: str, query: str, *, top_k: int) -> int:
        return len(self._call("POST", "/search", {"corpus": corpus, "query": query, "top_k": top_k})["results"])

    def settle(self, outcome: Outcome, *, timeout_seconds: float) -> str:
        return "hnsw"  # kept while rows come

    def job_facts(self, outcome: Outcome) -> Json:
        row = self.rows.execute(_CHUNKS, [outcome.submission]).fetchone()
        assert row
        return {"chunks": row[0], "embedding_tokens": row[1]}

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        answer: Json = self.http.request(method, path, json=body).raise_for_status().json()
        return answer


@contextmanager
def running(gpu: Server, model_id: str, models_file: Path) -> Iterator[Yardstick]:
    """Start it in a temporary folder; stop it and remove the folder at the end."""
    home = Home(Path(tempfile.mkdtemp(prefix="cixml-yardstick-")))
    try:
        with _started(home, gpu, model_id, models_file) as yardstick:
            yield yardstick
    except Exception:  # not Ctrl-C: then nothing has failed
        keep_logs(home)
        raise
    finally:
        stop_stack(home)
        remove_home(home)


@contextmanager
def _started(home: Home, gpu: Server, model_id: str, models_file: Path) -> Iterator[Yardstick]:
    begun = time.perf_counter()
    with ExitStack() as cleaning:
        start_stack(home, only=_SERVERS)
        values = read_env_file(home)
        port = choose_port(())
        configuration = Configuration(
            database_url=values["DATABASE_URL"],
            redis_url=values["REDIS_URL"],
            orchestrator_url=f"http://127.0.0.1:{port}",
            api_key=secrets.token_urlsafe(24),
            embedding_url=f"{gpu.url}/v1",
            model_id=model_id,
            models_file=str(models_file),
        )
        rows = cleaning.enter_context(psycopg.connect(configuration.database_url, autocommit=True))
        rows.execute(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))
        processes = {
            name: cleaning.enter_context(_process(command, name, home, configuration))
            for name, command in _commands(port).items()
        }
        headers = {"Authorization": f"Bearer {configuration.api_key}"}
        http = cleaning.enter_context(
            httpx.Client(base_url=configuration.orchestrator_url, headers=headers, timeout=60.0, trust_env=False)
        )
        _wait(http, processes)
        servers = {state.name: state.pid for state in read_status(home).processes if state.pid}
        pids = servers | {name: process.pid for name, process in processes.items()}
        yield Yardstick(home=home, processes=pids, http=http, rows=rows, started_seconds=time.perf_counter() - begun)


def _commands(port: int) -> dict[str, list[str]]:
    workers = {
        queue: [
            *("-m", "celery", "-A", f"benchmarks.yardstick.{module}", "worker", "-Q", queue, "-n", f"{queue}@%h"),
            *("--concurrency", str(children), "--loglevel", "WARNING"),
        ]
        for queue, (module, children) in WORKERS.items()
    }
    serve = ["-m", "uvicorn", "benchmarks.yardstick.api:create", "--factory", "--port", str(port), "--no-access-log"]
    return {"orchestrator": serve} | workers


@contextmanager
def _process(
    arguments: Sequence[str], name: str, home: Home, configuration: Configuration
) -> Iterator[subprocess.Popen[Any]]:
    with (home.logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT_ROOT,
            env=os.environ | configuration.as_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop_process(process)


def _wait(http: httpx.Client, processes: Mapping[str, subprocess.Popen[Any]]) -> None:
    """Wait for the orchestrator; the workers take what is in their queues when they are up."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if dead := [name for name, process in processes.items() if process.poll() is not None]:
            raise BenchmarkError(f"the yardstick's {dead[0]} ended")
        try:
            if http.get("/docs").status_code:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise BenchmarkError("the yardstick's orchestrator does not answer")
