"""For tests that kill: what can be killed, a client that comes back, pages to index."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx
import psutil

from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import Page
from tests.json_client import ENDED
from tests.stack import Stack

SHORT_LEASES = {
    "CIXML_PIPELINE__LEASE_SECONDS": "4",
    "CIXML_PIPELINE__HEARTBEAT_SECONDS": "1",
    "CIXML_PIPELINE__REAPER_SECONDS": "0.5",
    "CIXML_PIPELINE__DISPATCH_SECONDS": "8",
    "CIXML_EMBEDDING__BREAKER_RESET_SECONDS": "2",
}
"""A death is noticed within seconds."""
SERVER_AWAY_SECONDS = 2.0
POLL_SECONDS = 0.2


def site_pages(count: int) -> dict[str, Page]:
    """Return pages of two or three chunks each; no two share a text."""
    return {f"/{number}": _page(number) for number in range(count)}


def _page(number: int) -> Page:
    paragraphs = "".join(f"<p>Part {part} of page {number}: {_words(number, part)}.</p>" for part in range(4))
    return Page(f"<html><body><main><h1>Page {number}</h1>{paragraphs}</main></body></html>")


def _words(number: int, part: int) -> str:
    return " ".join(
        f"{word * (number + 3)} {_ANIMALS[(word * 7 + part + number) % len(_ANIMALS)]}" for word in range(40)
    )


_ANIMALS = ("fox", "dog", "zebra", "otter", "heron", "lynx", "wolf", "crane", "badger", "stoat", "newt")


class Target:
    """What can be killed: every process of the stack by name, a child of the worker, the embedding server."""

    def __init__(self, stack: Stack, server: EmbeddingServer) -> None:
        self._stack = stack
        self._server = server
        self._children: list[psutil.Process] = []

    def orphans(self) -> list[psutil.Process]:
        """Return the children of killed processes that still live: work of the dead is not to go on for long."""
        return [child for child in self._children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    def kill(self, name: str) -> None:
        """Kill without warning. The embedding server is back after a moment, as if its supervisor had started it."""
        match name:
            case "embedding":
                self._server.go_down()
                threading.Timer(SERVER_AWAY_SECONDS, self._server.come_back).start()
            case "worker_child":
                worker = psutil.Process(self._stack.pid("worker"))
                children = worker.children() or [worker]  # none yet: it is just being started again
                self._kill_one(max(children, key=lambda child: child.cpu_times().user).pid)
            case "supervisor":
                pid = self._stack.status().supervisor_pid
                assert pid
                os.kill(pid, signal.SIGKILL)
            case _:
                self._kill_one(self._stack.pid(name))

    def _kill_one(self, pid: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has died by itself just now
            process = psutil.Process(pid)
            self._children += process.children(recursive=True)
            process.kill()


class Caller:
    """A client that comes back when it is told to: 503 and a broken connection are tried again, a 500 is a failure."""

    def __init__(self, stack: Stack, key: str | None = None) -> None:
        self._stack = stack
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key or stack.new_key()}"}, timeout=30, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(self, corpus: str, urls: Sequence[str], **more: Any) -> str:
        """Submit a job and return its id. A lost answer means a second job: this is not the place that keeps keys."""
        return str(self.ask("POST", "/v1/jobs", {"corpus": corpus, "urls": list(urls), **more})["id"])

    def ended(self, job_id: str, *, seconds: float) -> dict[str, Any]:
        """Return the job once it has ended."""
        deadline = time.monotonic() + seconds
        while (job := self.ask("GET", f"/v1/jobs/{job_id}"))["status"] not in ENDED:
            assert time.monotonic() < deadline, f"{job_id} has not ended after {seconds} s: {job}"
            time.sleep(POLL_SECONDS)
        return job

    def search(self, corpus: str, query: str, *, top_k: int) -> list[dict[str, Any]]:
        body = {"query": query, "top_k": top_k}
        found: list[dict[str, Any]] = self.ask("POST", f"/v1/corpora/{corpus}/search", body)["results"]
        return found

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float = 120.0
    ) -> dict[str, Any]:
        """Ask until there is an answer."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self._http.request(method, f"{self._stack.url}{path}", json=body)
            except httpx.TransportError:
                wait = POLL_SECONDS
            else:
                if answer.is_success:
                    found: dict[str, Any] = answer.json()
                    return found
                assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"
                wait = min(1.0, float(answer.headers["retry-after"]))
            assert time.monotonic() < deadline, f"{method} {path}: no answer within {seconds} s"
            time.sleep(wait)
