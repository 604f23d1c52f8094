"""Limits over HTTP: exact however many come at once, told in headers, and never in the way of anybody else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from resources.membership import caller_id_of
from tests.api import ALICE, BOB, Api, running_api
from tests.database import PEPPER, Database, database, postgres_server  # noqa: F401  # fixtures
from tests.fakes.valkey import ValkeyServer, running_valkey


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as found:
        yield found


@asynccontextmanager
async def limited(
    database: Database,  # noqa: F811
    folder: Path,
    valkey: ValkeyServer | None = None,
    **limits: int,
) -> AsyncIterator[Api]:
    redis = {"redis_url": valkey.url} if valkey else {}
    settings = database.settings(api={"keys_file": folder / "keys.json"}, limits=limits, **redis)
    async with running_api(settings) as found:
        yield found


def job(*paths: str, corpus: str = "docs") -> dict[str, Any]:
    return {"corpus": corpus, "urls": [f"https://docs.example.com/{path}" for path in paths]}


async def test_of_a_hundred_requests_at_once_over_two_processes_exactly_the_allowed_pass(
    database: Database,  # noqa: F811
    tmp_path: Path,
    valkey: ValkeyServer,
) -> None:
    async with AsyncExitStack() as stack:
        apis = [
            await stack.enter_async_context(limited(database, tmp_path, valkey, requests_per_minute=30))
            for _ in range(2)
        ]
        answers = await asyncio.gather(*(apis[number % 2].get("/v1/quota") for number in range(100)))
        assert Counter(answer.status_code for answer in answers) == {200: 30, 429: 70}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit-policy"] == '"requests-per-minute";q=30;w=60'
        assert refused.headers["ratelimit"].startswith('"requests-per-minute";r=0;t=')
        body = refused.json()
        assert (body["error_code"], body["violated-policies"]) == ("cixml_quota_read_302", ["requests-per-minute"])
        assert body["retryable"] is True
        other = await apis[0].get("/v1/jobs", key=BOB)
        assert (other.status_code, other.headers["ratelimit"]) == (200, '"requests-per-minute";r=29;t=60')
        assert "ratelimit" not in (await apis[0].client.get("/livez")).headers
    with psycopg.connect(database.pipeline_url) as pipeline:  # what was refused did not get as far as the record
        assert pipeline.execute("SELECT status, count(*) FROM cixml.audit GROUP BY 1").fetchall() == [(200, 31)]


async def test_every_answer_to_a_caller_says_where_it_stands(database: Database, tmp_path: Path) -> None:  # noqa: F811
    async with limited(database, tmp_path, requests_per_minute=100) as api:
        made = await api.post("/v1/jobs", job("a"))
        tag = (await api.get(f"/v1/jobs/{made.json()['id']}")).headers["etag"]
        answers = [
            made,
            await api.get(f"/v1/jobs/{made.json()['id']}", headers={"If-None-Match": tag}),
            await api.get("/v1/jobs/nothing"),
            await api.post("/v1/jobs", {"corpus": 1}),
        ]
        assert [answer.status_code for answer in answers] == [202, 304, 404, 422]
        left = [int(answer.headers["ratelimit"].split("r=")[1].split(";")[0]) for answer in answers]
        assert left == [99, 97, 96, 95]


async def test_while_redis_is_gone_the_process_counts_for_itself(
    database: Database,  # noqa: F811
    tmp_path: Path,
    valkey: ValkeyServer,
) -> None:
    async with limited(database, tmp_path, valkey, requests_per_minute=5) as api:
        assert (await api.get("/v1/jobs")).status_code == 200
        valkey.stop()
        statuses = Counter([(await api.get("/v1/jobs")).status_code for _ in range(8)])
        assert statuses == {200: 5, 429: 3}


async def test_without_a_limit_nothing_is_counted(database: Database, tmp_path: Path) -> None:  # noqa: F811
    limits = dict.fromkeys(("requests_per_minute", "bad_keys_per_minute", "queued_pages", "corpora"), 0)
    async with limited(database, tmp_path, **limits) as api:
        made = await api.post("/v1/jobs", job("a", "b"))
        assert (made.status_code, "ratelimit" in made.headers) == (202, False)
        quota = (await api.get("/v1/quota")).json()
        assert quota["requests_per_minute"] == {"limit": None, "used": 0, "reset_seconds": None}
        assert quota["queued_pages"] == {"limit": None, "used": 2, "reset_seconds": None}


async def test_unknown_keys_of_one_address_are_limited_and_known_ones_go_on(
    database: Database,  # noqa: F811
    tmp_path: Path,
    valkey: ValkeyServer,
) -> None:
    async with limited(database, tmp_path, valkey, bad_keys_per_minute=5) as api:
        guesses = await asyncio.gather(*(api.get("/v1/jobs", key=f"guess-{number}") for number in range(40)))
        assert Counter(answer.status_code for answer in guesses) == {401: 5, 429: 35}
        refused = await api.get("/v1/jobs", key="guess", headers={"X-Forwarded-For": "203.0.113.9"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error_code"] == "cixml_job_list_304"
        assert refused.json()["violated-policies"] == ["bad-keys-per-minute"]
        assert (await api.get("/v1/jobs")).status_code == 200
        assert (await api.client.get("/v1/jobs")).status_code == 401  # no key is no guess


async def test_twenty_submissions_at_once_cant_pass_the_limit_on_pages_together(
    database: Database,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with limited(database, tmp_path, queued_pages=10) as api:
        answers = await asyncio.gather(
            *(api.post("/v1/jobs", job(f"{number}a", f"{number}b", f"{number}a")) for number in range(20))
        )
        assert Counter(answer.status_code for answer in answers) == {202: 5, 429: 15}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["error_code"] == "cixml_job_create_303"
        assert refused.json()["violated-policies"] == ["queued-pages"]
        assert refused.json()["detail"] == "10 of 10 pages wait or are in work, these are 2 more"
        assert refused.headers["retry-after"] == "30"
        with psycopg.connect(database.pipeline_url) as pipeline:
            assert pipeline.execute("SELECT count(*) FROM cixml.work_queue").fetchone() == (10,)
            assert pipeline.execute("SELECT count(*) FROM cixml.jobs").fetchone() == (5,)
        assert (await api.post("/v1/jobs", job("b"), key=BOB)).status_code == 202
        quota = (await api.get("/v1/quota")).json()
        assert quota["queued_pages"] == {"limit": 10, "used": 10, "reset_seconds": None}
        too_many = await api.post("/v1/jobs", job(*map(str, range(11))))
        assert (too_many.status_code, too_many.json()["retryable"]) == (429, False)
        assert "retry-after" not in too_many.headers


async def test_pages_in_work_count_until_they_end(database: Database, tmp_path: Path) -> None:  # noqa: F811
    async with limited(database, tmp_path, queued_pages=2) as api:
        await api.post("/v1/jobs", job("a", "b"))
        with psycopg.connect(database.pipeline_url, autocommit=True) as pipeline:
            pipeline.execute(
                "WITH b AS (INSERT INTO cixml.batches (kind, corpus_id, items, lease_until) "
                "SELECT 'ingest', id, 2, now() FROM cixml.corpora RETURNING id), "
                "q AS (DELETE FROM cixml.work_queue RETURNING *) "
                "INSERT INTO cixml.leases (corpus_id, url_key, work, batch_id, item_id, caller_id) "
                "SELECT q.corpus_id, q.url_key, 'ingest', b.id, q.item_id, q.caller_id FROM q, b"
            )
            assert (await api.post("/v1/jobs", job("c"))).status_code == 429
            pipeline.execute("DELETE FROM cixml.leases")
        assert (await api.post("/v1/jobs", job("c"))).status_code == 202


async def test_corpora_are_limited_however_many_are_made_at_once(
    database: Database,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with limited(database, tmp_path, corpora=3) as api:
        answers = await asyncio.gather(*(api.post("/v1/jobs", job("a", corpus=f"c{n}")) for n in range(10)))
        assert Counter(answer.status_code for answer in answers) == {202: 3, 429: 7}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert (refused.json()["violated-policies"], refused.json()["retryable"]) == (["corpora"], False)
        known = next(answer for answer in answers if answer.status_code == 202).json()["corpus"]
        assert (await api.post("/v1/jobs", job("b", corpus=known))).status_code == 202
        assert (await api.get("/v1/quota")).json()["corpora"] == {"limit": 3, "used": 3, "reset_seconds": None}


async def test_tokens_are_limited_by_the_day(database: Database, tmp_path: Path) -> None:  # noqa: F811
    async with limited(database, tmp_path, tokens_per_day=100) as api:
        await api.post("/v1/jobs", job("a"))
        with psycopg.connect(database.pipeline_url, autocommit=True) as pipeline:
            ledger = (
                "INSERT INTO cixml.usage_ledger (caller_id, model_id, chunk_hash, corpus_id, tokens, created_at) "
                "SELECT %s, 1, uuidv7(), id, %s, now() - make_interval(days => %s) FROM cixml.corpora"
            )
            alice = caller_id_of(ALICE, PEPPER)
            pipeline.execute(ledger, [alice, 1000, 1])
            pipeline.execute(ledger, [alice, 99, 0])
            assert (await api.post("/v1/jobs", job("b"))).status_code == 202
            pipeline.execute(ledger, [alice, 1, 0])
        refused = await api.post("/v1/jobs", job("c"))
        assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["tokens-per-day"])
        used = (await api.get("/v1/quota")).json()["tokens_per_day"]
        assert (used["limit"], used["used"]) == (100, 100)
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
        assert (await api.post("/v1/jobs", job("c"), key=BOB)).status_code == 202


async def test_a_retry_counts_like_any_submission(database: Database, tmp_path: Path) -> None:  # noqa: F811
    async with limited(database, tmp_path, queued_pages=3) as api:
        made = (await api.post("/v1/jobs", job("a", "b"))).json()
        assert (await api.post(f"/v1/jobs/{made['id']}/cancel", {})).status_code == 202
        await api.post("/v1/jobs", job("c"))
        first, second = await asyncio.gather(*(api.post(f"/v1/jobs/{made['id']}/retry", {}) for _ in range(2)))
        assert {first.status_code, second.status_code} == {202, 429}
        with psycopg.connect(database.pipeline_url) as pipeline:
            assert pipeline.execute("SELECT count(*) FROM cixml.work_queue").fetchone() == (3,)
