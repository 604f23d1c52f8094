"""`python -m benchmarks.faults DIR`: stage four faults on an embedded stack, write down what its telemetry told.

DIR gets `scrapes.jsonl` (a line for each look at /metrics: time, text), `acts.json` (when which fault was staged, and
its job), and for each fault the waterfall of its job and the lines that the processes logged: what an operator has.
docs/investigations.md reads it, `python -m benchmarks.faults.plot DIR` draws it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import Page, WebServer
from tests.json_client import JsonClient
from tests.stack import Stack, descendants, ended, poll, running_stack

TOKENS_PER_SECOND, LATENCY_SECONDS = 80_000.0, 0.008
SLOW_SECONDS = 2.0
CALM_SECONDS = 30.0
HANGING_SECONDS = 40.0
CORPUS = "observed"
PROCESSES = ("api", "worker", "lifeline", "daemon", "code_server", "extractor")


def page(number: int, **options: Any) -> Page:
    """Return a page whose text no other has."""
    text = " ".join(f"{word}th word of {number}" for word in range(100))
    return Page(f"<main><h1>Page {number}</h1><p>{text}.</p></main>", **options)


class Recorder:
    """Scrapes /metrics each second on a thread of its own, as an agent would."""

    def __init__(self, url: str, target: Path) -> None:
        self._url = url
        self._target = target
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrapes")

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=5, trust_env=False) as http, self._target.open("w", encoding="utf-8") as lines:
            while not self._over.wait(1.0):
                at = time.time()
                try:
                    text = http.get(self._url).raise_for_status().text
                except httpx.HTTPError:
                    text = ""
                lines.write(json.dumps({"at": at, "text": text}) + "\n")


class Play:
    """The stack, those who use it, and what is written down of each fault."""

    def __init__(self, stack: Stack, server: EmbeddingServer, site: WebServer, folder: Path) -> None:
        self.stack = stack
        self.key = stack.new_key()
        self.server = server
        self.site = site
        self.acts: dict[str, dict[str, Any]] = {}
        self._folder = folder
        self._numbers = iter(range(1_000_000))

    def urls(self, count: int, **options: Any) -> list[str]:
        """Make new pages of the site, of two chunks each, all answered with these options."""
        numbers = [next(self._numbers) for _ in range(count)]
        self.site.pages |= {f"/{number}": page(number, **options) for number in numbers}
        return [f"{self.site.url}/{number}" for number in numbers]

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Search all the time meanwhile, once in a quarter of a second; what fails is the telemetry's to tell."""
        over = threading.Event()

        def run() -> None:
            with httpx.Client(base_url=self.stack.url, timeout=30, trust_env=False) as http:
                while not over.wait(0.25):
                    http.post(
                        f"/v1/corpora/{CORPUS}/search",
                        json={"query": f"what is on page {next(self._numbers)}"},
                        headers={"Authorization": f"Bearer {self.key}"},
                    )

        thread = threading.Thread(target=run, name="searches")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def act(self, name: str, stage: Callable[[Play, JsonClient], str]) -> None:
        """Stage a fault after a calm while; keep its job's waterfall and the log lines of its time."""
        time.sleep(CALM_SECONDS)
        logs = [self.stack.home.logs / f"{process}.log" for process in PROCESSES]
        marks = [log.stat().st_size for log in logs]
        began = time.time()
        with self.stack.client(self.key) as client:
            job = stage(self, client)
        self.acts[name] = {"began": began, "ended": time.time(), "job": job}
        waterfall = subprocess.run(
            [Path(sys.executable).parent / "cixml", "trace", job, "--key", self.key],
            env=os.environ | self.stack.given,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (self._folder / f"{name}.trace.txt").write_text(waterfall, encoding="utf-8")
        logged = "".join(
            f"== {log.stem}\n{log.read_bytes()[mark:].decode()}" for log, mark in zip(logs, marks, strict=True)
        )
        (self._folder / f"{name}.log").write_text(logged, encoding="utf-8")
        (self._folder / "acts.json").write_text(json.dumps(self.acts, indent=1), encoding="utf-8")
        print(f"{name}: {time.time() - began:.0f} s", file=sys.stderr)


def slow_gpu(play: Play, client: JsonClient) -> str:
    """Let the embedding server answer late while a job runs and callers search."""
    with play.searching():
        play.server.latency_seconds = SLOW_SECONDS
        try:
            job = client.submit(CORPUS, play.urls(40))
            ended(client, job["id"], timeout_seconds=300)
        finally:
            play.server.latency_seconds = LATENCY_SECONDS
    return str(job["id"])


def stuck_worker(play: Play, client: JsonClient) -> str:
    """Stop the worker and its children in the middle of a batch: nothing dies, nothing moves."""
    job = client.submit(CORPUS, play.urls(60, delay_seconds=0.2))
    poll(lambda: client.job(job["id"])["items"]["indexed"] >= 5, "the first pages", timeout_seconds=120)
    worker = play.stack.pid("worker")
    pids = [worker, *descendants(worker)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(HANGING_SECONDS)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    ended(client, job["id"], timeout_seconds=300)
    return str(job["id"])


def refusing_site(play: Play, client: JsonClient) -> str:
    """Let a site answer 403 to most of its pages, and ask for a pause at the rest."""
    refused = play.urls(20, status=403)
    paused = play.urls(5, status=429, headers={"Retry-After": "20"})
    job = client.submit(CORPUS, refused + paused)
    time.sleep(15)
    for url in paused:
        path = url.removeprefix(play.site.url)
        play.site.pages[path] = page(int(path[1:]))
    ended(client, job["id"], timeout_seconds=300)
    return str(job["id"])


def noisy_caller(play: Play, client: JsonClient) -> str:
    """Let one caller submit a thousand slow pages before another's one page, which is the one that is looked at."""
    flooding = play.stack.new_key()
    with play.stack.client(flooding) as other:
        flood = other.submit("flood", play.urls(1000, delay_seconds=0.5))
        poll(lambda: other.job(flood["id"])["items"]["indexed"] >= 20, "a flood", timeout_seconds=120)
        job = client.submit("quiet", play.urls(1))
        ended(client, job["id"], timeout_seconds=300)
        time.sleep(20)
        httpx.post(
            f"{play.stack.url}/v1/jobs/{flood['id']}/cancel", headers={"Authorization": f"Bearer {flooding}"}
        ).raise_for_status()
    return str(job["id"])


ACTS: dict[str, Callable[[Play, JsonClient], str]] = {
    "slow_gpu": slow_gpu,
    "stuck_worker": stuck_worker,
    "refusing_site": refusing_site,
    "noisy_caller": noisy_caller,
}


def main() -> None:
    """Play all acts, or those named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description="Stage faults, keep the telemetry."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=ACTS, default=list(ACTS))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with (
        EmbeddingServer(tokens_per_second=TOKENS_PER_SECOND, latency_seconds=LATENCY_SECONDS) as server,
        WebServer() as site,
        running_stack(server) as stack,
    ):
        play = Play(stack, server, site, given.folder)
        metrics = f"http://127.0.0.1:{stack.values['CIXML_API__METRICS_PORT']}/metrics"
        with stack.client(play.key) as client:
            ended(client, client.submit(CORPUS, play.urls(20))["id"])
        with Recorder(metrics, given.folder / "scrapes.jsonl"):
            for name in given.only:
                play.act(name, ACTS[name])
            time.sleep(CALM_SECONDS)


if __name__ == "__main__":
    main()
