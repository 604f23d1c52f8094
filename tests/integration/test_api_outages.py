"""The API while something it needs is gone: it says so at once, and works again by itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from resources.errors import BreakerOpenError, EmbeddingRejectedError, EmbeddingUnavailableError
from tests.api import ALICE, Api, authorization, running_api, write_keys
from tests.database import PEPPER, Database, PostgresServer, database, postgres_server  # noqa: F401  # fixtures
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.valkey import ValkeyServer, free_port, running_valkey

JOB = {"corpus": "docs", "urls": ["https://docs.example.com/a"]}
SECONDS = 20.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + SECONDS
    while not await condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.05)


async def is_ready(api: Api) -> bool:
    return (await api.client.get("/readyz")).status_code == 200


async def test_a_restart_of_postgres_is_503_and_never_500(
    postgres_server: PostgresServer,  # noqa: F811
    database: Database,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as api:
        await until(lambda: is_ready(api))
        assert (await api.post("/v1/jobs", JOB)).status_code == 202
        statuses: list[int] = []

        async def ask_all_the_time() -> None:
            while True:
                for path in ("/v1/jobs", "/v1/corpora/docs"):
                    statuses.append((await api.get(path)).status_code)
                statuses.append((await api.post("/v1/corpora/docs/search", {"query": "x"})).status_code)
                await asyncio.sleep(0.01)

        asking = asyncio.create_task(ask_all_the_time())
        try:
            await asyncio.to_thread(postgres_server.stop)
            down = await api.get("/v1/jobs")
            assert down.status_code == 503
            assert down.json()["error_code"] == "cixml_job_list_501"
            assert "retry-after" in down.headers
        finally:
            await asyncio.to_thread(postgres_server.start)
        await until(lambda: is_ready(api))
        assert (await api.post("/v1/jobs", JOB)).status_code == 202
        asking.cancel()
        assert set(statuses) == {200, 503}


async def test_the_api_starts_before_postgres_and_finds_it_later(
    postgres_server: PostgresServer,  # noqa: F811
    database: Database,  # noqa: F811
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(postgres_server.stop)
    started = False
    try:
        async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as api:
            assert (await api.client.get("/livez")).status_code == 200
            assert (await api.client.get("/readyz")).status_code == 503
            await asyncio.to_thread(postgres_server.start)
            started = True
            await until(lambda: is_ready(api))
    finally:
        if not started:
            await asyncio.to_thread(postgres_server.start)


async def test_without_the_embedding_server_a_search_says_when_to_come_back(
    database: Database,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as api:
        await api.post("/v1/jobs", JOB)
        for error, code in (
            (EmbeddingUnavailableError(), "cixml_corpus_search_510"),
            (BreakerOpenError(retry_after_seconds=8.2), "cixml_corpus_search_511"),
        ):
            api.embedder.error = error
            answer = await api.post("/v1/corpora/docs/search", {"query": "x"})
            assert (answer.status_code, answer.json()["error_code"]) == (503, code)
        assert answer.headers["retry-after"] == "9"
        api.embedder.error = EmbeddingRejectedError("context_too_long", "300 tokens, the model takes 256")
        refused = await api.post("/v1/corpora/docs/search", {"query": "x"})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query")


async def _goes_on_without_redis(valkey: ValkeyServer, port: int) -> None:
    """Redis is gone, then back and empty: submissions and searches are served all the time, and /healthz says so."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=authorization(ALICE)) as client:

        async def redis_state() -> str:
            return str((await client.get("/healthz")).json()["redis"]["status"])

        async def is_served(word: str) -> None:
            assert (await client.post("/v1/jobs", json=JOB)).status_code == 202
            found = await client.post("/v1/corpora/docs/search", json={"query": word})
            assert (found.status_code, found.json()["query"]["embedding_cached"]) == (200, False)

        valkey.stop()
        await is_served("x")  # its vector was in Redis
        assert await redis_state() != "ok"
        valkey.start()
        await is_served("y")
        assert await redis_state() == "ok"


async def test_the_process_serves_the_api_and_its_metrics(database: Database, tmp_path: Path) -> None:  # noqa: F811
    write_keys(tmp_path / "keys.json", ALICE)
    with running_valkey() as valkey, EmbeddingServer(dimension=384) as embedding:
        port, metrics_port = free_port(), free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "CIXML_HOME": str(tmp_path),
            "CIXML_API__DATABASE_URL": database.api_url,
            "CIXML_API__KEYS_FILE": str(tmp_path / "keys.json"),
            "CIXML_API__KEY_PEPPER": PEPPER,
            "CIXML_API__PORT": str(port),
            "CIXML_API__METRICS_PORT": str(metrics_port),
            "REDIS_URL": valkey.url,
            "EMBEDDING_API_BASE_URL": embedding.base_url,
        }
        with (tmp_path / "api.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "cixml_api"], env=environment, stdout=log, stderr=log)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=authorization(ALICE)) as client:

                async def answers() -> bool:
                    assert process.poll() is None, (tmp_path / "api.log").read_text()
                    try:
                        return (await client.get("/readyz")).status_code == 200
                    except httpx.TransportError:
                        return False

                await until(answers)
                assert (await client.post("/v1/jobs", json=JOB)).status_code == 202
                for is_cached in (False, True):
                    found = await client.post("/v1/corpora/docs/search", json={"query": "x"})
                    assert found.json()["query"]["embedding_cached"] is is_cached
                metrics = (await client.get(f"http://127.0.0.1:{metrics_port}/metrics")).text
            assert 'openai_tokens_used_total{model="all-MiniLM-L6-v2",operation="read"}' in metrics
            assert 'cixml_breaker_state{dependency="all-MiniLM-L6-v2"} 0.0' in metrics
            assert 'cixml_queue_depth{stage="scraping"} 1.0' in metrics
            assert "cixml_submit_to_searchable_seconds" in metrics
            assert "docs" not in metrics
            await _goes_on_without_redis(valkey, port)
        finally:
            process.terminate()
            assert process.wait(SECONDS) == 0
    assert ALICE not in (tmp_path / "api.log").read_text()
