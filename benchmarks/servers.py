"""The two servers beside the product: the site and the modelled GPU. Processes of their own, on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.errors import BenchmarkError
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


@contextmanager
def page_server(folder: Path, *, keep: bool) -> Iterator[Server]:
    """Serve the folder's pages while the block runs, or on if `keep`."""
    with _running("benchmarks.page_server", "--folder", str(folder), keep=keep) as server:
        yield server


@contextmanager
def embedding_server(model: Model, gpu: Gpu, *, keep: bool) -> Iterator[Server]:
    """Run the mock of the tests with the model's dimension, tokenizer and window."""
    arguments = [
        *("--model", model.id, "--dimension", str(model.dimension), "--max-tokens", str(model.max_tokens)),
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
        _stop(process)
        raise
    if not keep:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
