"""The whole product for tests: one embedded stack for tests/pipeline, on a fake embedding server and sites on loopback.

    def test_x(stack): client = stack.client(); ... stack.kill("worker")

`tests.database` is the lighter one: a Postgres alone, one database a test.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import psutil
import pytest

from cixml import keys
from cixml.embedded.environment import read_env_file
from cixml.embedded.stack import start_stack, stop_stack
from cixml.embedded.state import Home
from cixml.embedded.status import StackStatus, read_status
from tests.fakes.embedding_server import EmbeddingServer
from tests.folders import server_folder
from tests.json_client import ENDED, Json, JsonClient
from tests.models import SECOND, SECOND_DIMENSION, write_models_file

# Anything a developer may have exported that would point the test's stack at another server.
OUTSIDE = ("DATABASE_URL", "REDIS_URL", "EMBEDDING_API_BASE_URL", "EMBEDDING_API_KEY", "EMBEDDING_MODEL")
_names = count(1)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack. `values` are its variables, as the processes see them; `given` those it was started with."""

    home: Home
    values: dict[str, str]
    given: Mapping[str, str]

    def status(self) -> StackStatus:
        return read_status(self.home)

    @property
    def url(self) -> str:
        """Return the API's address, also while it is down."""
        return f"http://127.0.0.1:{self.values['CIXML_API__PORT']}"

    def pid(self, name: str) -> int:
        """Return the pid of a process. Polls, because it may just be starting again."""
        return poll(lambda: next((p.pid for p in self.status().processes if p.name == name and p.pid), None), name)

    def kill(self, name: str) -> int:
        """Kill a process without warning and return the pid it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def new_key(self) -> str:
        """Make a caller of its own, so that tests don't see each other's corpora."""
        pepper = self.values["CIXML_API__KEY_PEPPER"]
        return keys.create_key(self.home.keys_file, pepper, name=f"test-{next(_names)}-{time.monotonic_ns()}")

    def client(self, key: str | None = None) -> JsonClient:
        url = self.status().api_url
        assert url
        return JsonClient(url, key or self.new_key())

    def log(self, name: str) -> str:
        return self.home.log_tail(name, lines=200)


def poll(ask: Callable[[], T | None], what: str, *, timeout_seconds: float = 30.0) -> T:
    """Ask until the answer is something, or fail at the deadline."""
    deadline = time.monotonic() + timeout_seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"gave up waiting for {what} after {timeout_seconds} s"
        time.sleep(0.1)
    return answer


def ended(client: JsonClient, job_id: str, *, timeout_seconds: float = 120.0) -> Json:
    """Return the job once it has ended."""

    def ask() -> Json | None:
        job = client.job(job_id)
        return job if job["status"] in ENDED else None

    return poll(ask, f"the end of {job_id}", timeout_seconds=timeout_seconds)


PROMOTE_ROWS = 100
"""Corpora of this stack get an index of their own over so many chunks: more than most tests make."""


@pytest.fixture(scope="package")
def embedding_server() -> Iterator[EmbeddingServer]:
    """The stack's embedding server, in this process: tests break and heal it, and count what it saw."""
    models = ("all-MiniLM-L6-v2", SECOND)
    with EmbeddingServer(
        dimension=384, models=models, dimensions={SECOND: SECOND_DIMENSION}, vectors="words"
    ) as server:
        yield server


@pytest.fixture(scope="package")
def stack(embedding_server: EmbeddingServer) -> Iterator[Stack]:
    """Start the stack once; every loopback address but the product's own may be fetched."""
    with running_stack(embedding_server) as found:
        yield found


@contextmanager
def running_stack(embedding_server: EmbeddingServer, **variables: str) -> Iterator[Stack]:
    """Start a stack in a folder of its own, with further variables; stop it and remove the folder at the end."""
    root = server_folder("cixml-stack-")
    root.chmod(0o755)
    home = Home(root)
    given = {
        "CIXML_HOME": str(root),
        "EMBEDDING_API_BASE_URL": embedding_server.base_url,
        "CIXML_EMBEDDING__MODELS_FILE": str(write_models_file(root)),
        "CIXML_FETCH__ALLOW_NETWORKS": json.dumps(["127.0.0.0/8"]),
        "CIXML_SEARCH__PROMOTE_ROWS": str(PROMOTE_ROWS),
        "CIXML_SEARCH__PROMOTE_QUIET_SECONDS": "0.5",
        "CIXML_TELEMETRY__LOGS": "json",
        # A death is noticed sooner than by default, a claim that no run began is free again sooner.
        "CIXML_PIPELINE__LEASE_SECONDS": "8",
        "CIXML_PIPELINE__HEARTBEAT_SECONDS": "2",
        "CIXML_PIPELINE__DISPATCH_SECONDS": "10",
    } | variables
    try:
        up(home, given)
        yield Stack(home=home, values=read_env_file(home), given=given)
    finally:
        stop_stack(home)
        shutil.rmtree(root, ignore_errors=True)


def up(home: Home, given: Mapping[str, str]) -> None:
    """Start what does not run, as `cixml up` does with these variables set."""
    with pytest.MonkeyPatch.context() as environment:  # for the start alone: no other test may see it
        for name in OUTSIDE:
            environment.delenv(name, raising=False)
        for name, value in given.items():
            environment.setenv(name, value)
        start_stack(home)


def descendants(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}
