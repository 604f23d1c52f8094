"""The fake is held to its word where other tests and the benchmarks trust it: time, counters, remote switches."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from resources.settings import PROJECT_ROOT
from tests.fakes.embedding_server import EmbeddingServer

MODEL = "all-MiniLM-L6-v2"


@pytest.fixture
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.fakes.embedding_server", "--dimension", "8", "--vectors", "words"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)
    assert process.stdout is not None
    yield process.stdout.readline().strip().removesuffix("/v1")
    process.kill()  # a shell that started the tests may have left SIGTERM ignored
    process.wait(10)
    process.stdout.close()


def embed(url: str, *texts: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/embeddings", json={"model": MODEL, "input": list(texts)})


def is_up(url: str) -> bool:
    try:
        return embed(url, "one").status_code == 200
    except httpx.TransportError:
        return False


def test_another_process_can_break_it_and_count(url: str) -> None:
    assert embed(url, "one", "two", "one").status_code == 200
    stats = httpx.get(f"{url}/stats").json()
    assert (stats["texts"], stats["distinct_texts"], stats["requests"]) == (3, 2, 1)
    httpx.post(f"{url}/control", json={"fail_next": 1, "status": 429, "retry_after": 2})
    assert embed(url, "one").headers["retry-after"] == "2"
    httpx.post(f"{url}/control", json={"break_next": 1, "kind": "short"})
    assert len(embed(url, "one", "two").json()["data"]) == 1
    httpx.post(f"{url}/stats/reset")
    assert httpx.get(f"{url}/stats").json()["texts"] == 0


def test_it_goes_down_and_comes_back_by_itself(url: str) -> None:
    httpx.post(f"{url}/control", json={"down_seconds": 0.3})
    seen = {is_up(url)}
    deadline = time.monotonic() + 5
    while not is_up(url):
        seen.add(False)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert False in seen


def test_texts_with_shared_words_are_near(url: str) -> None:
    rows = [row["embedding"] for row in embed(url, "red cats sleep", "red cats eat", "blue dogs run").json()["data"]]
    near, far = np.dot(rows[0], rows[1]), np.dot(rows[0], rows[2])
    assert near > far


async def test_requests_queue_behind_each_other_like_on_one_gpu() -> None:
    with EmbeddingServer(dimension=8, tokens_per_second=100, latency_seconds=0.05) as server:
        async with httpx.AsyncClient(base_url=server.base_url) as client:
            started = time.monotonic()
            body = {"model": MODEL, "input": ["one two three four five six"]}  # 10 tokens: 0.1 s
            await asyncio.gather(*(client.post("/embeddings", json=body) for _ in range(4)))
            assert time.monotonic() - started >= 0.45
        assert server.stats.busy_seconds == pytest.approx(0.4)
        assert server.stats.in_flight_max == 4
