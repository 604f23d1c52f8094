"""The two servers beside what is measured: the sites and the modelled GPU. Processes of their own, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.errors import BenchmarkError
from benchmarks.pages import host, host_of
from resources.embedding.registry import Model
from resources.settings import PROJECT_ROOT

_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """How the embedding server's time is modelled."""

    tokens_per_second: float
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server with counters at /stats."""

    url: str
    pid: int

    def stats(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/stats", trust_env=False).raise_for_status().json()
        return {str(name): value for name, value in answer.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Server):
    """The page server: so many hosts that pages are spread over, and one more that has nothing else to do."""

    hosts: int

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def addresses(self) -> list[str]:
        return [host(number) for number in range(self.hosts + 1)]

    def url_of(self, path: str) -> str:
        return f"http://{host_of(path, self.hosts)}:{self.port}{path}"

    def quiet_url_of(self, path: str) -> str:
        """Return the address on the host that no other page is on."""
        return f"http://{host(self.hosts)}:{self.port}{path}"


@contextmanager
def page_server(folder: Path, hosts: int, *, keep: bool) -> Iterator[Site]:
    """Serve the folder's pages while the block runs, or on if `keep`."""
    arguments = ("--folder", str(folder), "--hosts", str(hosts + 1))
    with _running("benchmarks.page_server", *arguments, keep=keep) as server:
        yield Site(url=server.url, pid=server.pid, hosts=hosts)


@contextmanager
def embedding_server(model: Model, gpu: Gpu, *, keep: bool, also: str | None = None) -> Iterator[Server]:
    """Run the mock of the tests with the model's dimension, tokenizer and window; `also` is a model that is like it."""
    arguments = [
        *("--model", model.id, "--dimension", str(model.dimension), "--max-tokens", str(model.max_tokens)),
        *(("--model", also) if also else ()),
        *("--tokenizer", str(model.tokenizer_path)),
        *("--tokens-per-second", str(gpu.tokens_per_second), "--latency-ms", str(gpu.latency_ms)),
    ]
    with _running("tests.fakes.embedding_server", *arguments, keep=keep) as server:
        yield server


@contextmanager
def _running(module: str, *arguments: str, keep: bool) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches only us, and we stop it last
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip().removesuffix("/v1")
        if not url:
            raise BenchmarkError(f"python -m {module} did not start: see above")
        yield Server(url=url, pid=process.pid)
    except BaseException:
        stop_process(process)
        raise
    if not keep:
        stop_process(process)


def stop_process(process: subprocess.Popen[Any]) -> None:
    """Ask it to end, then kill it with all its children: it leads a process group."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
