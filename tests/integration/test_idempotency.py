"""Idempotency-Key over the API: one job, equal answers, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from resources.postgres import retention
from resources.postgres.database import Database as PipelineDatabase
from tests.api import ALICE, BOB, Api, running_api
from tests.database import Database

JOB = {"corpus": "docs", "urls": ["https://docs.example.com/start"]}
KEY = {"Idempotency-Key": "order 66"}


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


def count(owner: psycopg.Connection[Any], table: str) -> int:
    row = owner.execute(f"SELECT count(*) FROM cixml.{table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


async def test_twenty_at_once_make_one_job_and_get_one_answer(api: Api, owner: psycopg.Connection[Any]) -> None:
    answers = await asyncio.gather(*(api.post("/v1/jobs", JOB, headers=KEY) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["location"] for answer in answers} == {f"/v1/jobs/{answers[0].json()['id']}"}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert {count(owner, table) for table in ("jobs", "job_items", "work_queue", "idempotency_keys")} == {1}


async def test_the_first_answer_is_given_again_whatever_became_of_the_job(
    api: Api, owner: psycopg.Connection[Any]
) -> None:
    first = await api.post("/v1/jobs", JOB, headers=KEY)
    await api.post(f"/v1/jobs/{first.json()['id']}/cancel", None)
    again = await api.client.post(
        "/v1/jobs",
        content=b'{"create_corpus":true,  "urls":["https://docs.example.com/start"],"corpus":"docs"}',
        headers=KEY | {"Authorization": f"Bearer {ALICE}", "Content-Type": "application/json"},
    )
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["retry-after"] == first.headers["retry-after"]
    assert "idempotency-replayed" not in first.headers
    assert count(owner, "jobs") == 1


@pytest.mark.parametrize("other", [JOB | {"corpus": "other"}, JOB | {"urls": [*JOB["urls"], "https://x.example/"]}])
async def test_another_body_under_the_key_is_refused(
    api: Api, owner: psycopg.Connection[Any], other: dict[str, Any]
) -> None:
    await api.post("/v1/jobs", JOB, headers=KEY)
    refused = await api.post("/v1/jobs", other, headers=KEY)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "cixml_job_create_203")
    assert count(owner, "jobs") == 1


async def test_a_key_belongs_to_a_caller_and_a_path(api: Api, owner: psycopg.Connection[Any]) -> None:
    job = (await api.post("/v1/jobs", JOB, headers=KEY)).json()
    bobs = await api.post("/v1/jobs", JOB | {"corpus": "bobs"}, headers=KEY, key=BOB)
    assert bobs.status_code == 202
    await api.post(f"/v1/jobs/{job['id']}/cancel", None)
    retries = [await api.post(f"/v1/jobs/{job['id']}/retry", {}, headers=KEY) for _ in range(2)]
    assert [answer.status_code for answer in retries] == [202, 202]
    assert retries[0].content == retries[1].content
    assert retries[1].headers["idempotency-replayed"] == "true"
    refused = await api.post(f"/v1/jobs/{job['id']}/retry", {"only": ["failed"]}, headers=KEY)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "cixml_job_retry_203")
    assert count(owner, "jobs") == 3


async def test_nothing_is_kept_of_a_refusal(api: Api, owner: psycopg.Connection[Any]) -> None:
    for wrong in (JOB | {"urls": ["ftp://x.example/"]}, JOB | {"nope": 1}, JOB | {"create_corpus": False}):
        assert (await api.post("/v1/jobs", wrong, headers=KEY)).status_code in (404, 422)
    assert count(owner, "idempotency_keys") == 0
    job = await api.post("/v1/jobs", JOB, headers=KEY)
    assert job.status_code == 202
    other = {"Idempotency-Key": "another"}
    assert (await api.post(f"/v1/jobs/{job.json()['id']}/retry", {}, headers=other)).status_code == 409
    assert count(owner, "idempotency_keys") == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9", "a\tb"])
async def test_a_key_that_is_none_is_refused_by_name(api: Api, key: str) -> None:
    answer = await api.post("/v1/jobs", JOB, headers={"Idempotency-Key": key.encode("latin-1")})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].lower() == "/idempotency-key"


async def test_a_key_is_new_again_after_a_day(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    first = await api.post("/v1/jobs", JOB, headers=KEY)
    for age, removed in (("23 hours", 0), ("25 hours", 1)):
        owner.execute(f"UPDATE cixml.idempotency_keys SET created_at = now() - interval '{age}'".encode())
        with pipeline.transaction() as connection:
            assert retention.prune_idempotency_keys(connection, days=1).removed == removed
    assert (await api.post("/v1/jobs", JOB, headers=KEY)).json()["id"] != first.json()["id"]
