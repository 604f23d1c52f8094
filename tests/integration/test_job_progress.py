"""What a caller is told of a job under way: its place, its end, why it waits, its runs, and when it changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest_asyncio

from resources.identifiers import Prefix, parse_public_id
from resources.postgres import items
from resources.postgres.database import Database as PipelineDatabase
from resources.types import Stage
from tests.api import BOB, Api, running_api
from tests.builders import make_worker
from tests.database import Database
from tests.integration.test_job_actions import begin_one, fail, finish, items_of, submit


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


async def read(api: Api, job_id: str, **headers: str) -> Any:
    return (await api.get(f"/v1/jobs/{job_id}", headers=headers)).json()


def urls(count: int, site: str = "docs") -> list[str]:
    return [f"https://{site}.example.com/{number}" for number in range(count)]


def record_pace(owner: psycopg.Connection[Any], *, items: int, seconds: float) -> None:
    owner.execute(
        "INSERT INTO cixml.batches (kind, corpus_id, items, state, lease_until, started_at, finished_at) "
        "SELECT 'ingest', id, %s, 'done', now(), now() - make_interval(secs => %s), now() FROM cixml.corpora LIMIT 1",
        [items, seconds],
    )


async def test_the_place_in_the_queue_is_that_of_the_fair_share(api: Api, owner: psycopg.Connection[Any]) -> None:
    first = await submit(api, *urls(10))
    second = await submit(api, *urls(5, "other"))
    bobs = (await api.post("/v1/jobs", {"corpus": "bobs", "urls": urls(40, "bobs")}, key=BOB)).json()
    assert (await read(api, first["id"]))["queue"] == {"ahead_of_you": 0, "your_share": 0.5}
    assert (await read(api, second["id"]))["queue"] == {"ahead_of_you": 20, "your_share": 0.5}
    assert (await api.get(f"/v1/jobs/{bobs['id']}", key=BOB)).json()["queue"]["ahead_of_you"] == 0
    await api.post(f"/v1/jobs/{bobs['id']}/cancel", None, key=BOB)
    assert (await read(api, second["id"]))["queue"] == {"ahead_of_you": 10, "your_share": 1.0}


async def test_the_end_is_told_from_the_pace_and_what_is_ahead_or_not_at_all(
    api: Api, owner: psycopg.Connection[Any]
) -> None:
    first = await submit(api, *urls(10))
    job = await submit(api, *urls(10, "other"))
    assert (await read(api, job["id"]))["eta_seconds"] is None
    record_pace(owner, items=10, seconds=30)  # a slot takes 3 s an item
    told = await read(api, job["id"])
    assert (told["eta_seconds"], told["waiting"]) == (
        None,
        [{"reason": "no_worker", "items": 10, "next_attempt_at": None}],
    )
    make_worker(owner, slots=2)
    told = await read(api, job["id"])
    assert (told["eta_seconds"], told["waiting"][0]["reason"]) == (30, "queue")
    await api.post(f"/v1/jobs/{first['id']}/cancel", None)
    assert (await read(api, job["id"]))["eta_seconds"] == 15
    owner.execute("UPDATE cixml.work_queue SET ready_at = now() + interval '100 seconds'")
    owner.execute("UPDATE cixml.job_items SET waiting_reason = 'breaker_open' WHERE status = 'queued'")
    told = await read(api, job["id"])
    assert 100 <= told["eta_seconds"] <= 116
    assert told["waiting"][0]["reason"] == "breaker_open"


async def test_runs_are_told_by_the_rows_of_their_batches(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    job = await submit(api)
    assert (await read(api, job["id"]))["runs"] == []
    batch = begin_one(owner, pipeline, "run-1")
    told = await read(api, job["id"])
    (run,) = told["runs"]
    assert run["partition"].startswith("docs-")
    assert (run["run_id"], run["state"], run["items"], run["finished_at"]) == ("run-1", "running", 3, None)
    assert told["queue"]["ahead_of_you"] == 0
    first, *others = await items_of(api, job["id"])
    with pipeline.transaction() as connection:
        items.release(
            connection,
            batch_id=batch.batch_id,
            item_ids=[parse_public_id(Prefix.ITEM, item["id"]) for item in others],
            delay_seconds=60,
            reason="http_5xx",
            counts_attempt=True,
        )
    fail(pipeline, batch, {first["id"]: Stage.SCRAPING})
    finish(pipeline, batch)
    told = await read(api, job["id"])
    assert told["runs"][0]["state"] == "done"
    assert (told["waiting"][0]["reason"], told["waiting"][0]["items"]) == ("http_5xx", 2)
    assert told["waiting"][0]["next_attempt_at"] is not None
    assert (await api.get(f"/v1/jobs/{job['id']}", key=BOB)).status_code == 404


async def test_a_long_poll_ends_with_the_change(api: Api) -> None:
    job = await submit(api)
    tag = (await api.get(f"/v1/jobs/{job['id']}")).headers["etag"]
    headers = {"If-None-Match": tag, "Prefer": "wait=20"}
    started = time.monotonic()
    waiting = asyncio.create_task(api.get(f"/v1/jobs/{job['id']}", headers=headers))
    await api.get("/v1/jobs")
    assert not waiting.done()
    await api.post(f"/v1/jobs/{job['id']}/cancel", None)
    answer = await waiting
    assert time.monotonic() - started < 10
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.headers["etag"] != tag


async def test_a_long_poll_ends_with_its_time_and_at_once_when_nothing_can_change(api: Api) -> None:
    job = await submit(api)
    path = f"/v1/jobs/{job['id']}"
    answer = await api.get(path, headers={"If-None-Match": 'W/"1"', "Prefer": "respond-async, wait=1"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (304, "wait=1")
    await api.post(f"{path}/cancel", None)
    tag = (await api.get(path)).headers["etag"]
    started = time.monotonic()
    answer = await api.get(path, headers={"If-None-Match": tag, "Prefer": "wait=9999"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (304, "wait=30")
    assert time.monotonic() - started < 5
    assert (await api.get(path, headers={"Prefer": "wait=30"})).status_code == 200
    assert (await api.get(path, key=BOB, headers={"If-None-Match": tag})).status_code == 404


async def test_lists_are_filtered(api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> None:
    job = await submit(api)
    first, second, third = await items_of(api, job["id"])
    batch = begin_one(owner, pipeline)
    fail(pipeline, batch, {first["id"]: Stage.SCRAPING, second["id"]: Stage.EMBEDDING})
    for query, expected in (
        ("failed_stage=embedding", [second]),
        ("failed_stage=embedding,scraping", [first, second]),
        ("code=store_failed&failed_stage=scraping", [first]),
        ("code=http_4xx,%20store_failed", [first, second]),
        ("code=http_4xx", []),
        ("status=scraping,failed", [first, second, third]),
    ):
        found = (await api.get(f"/v1/jobs/{job['id']}/items?{query}")).json()
        assert [item["id"] for item in found["content"]] == [item["id"] for item in expected], query
        assert found["_metadata"]["total_records"] == len(expected)
    moment = job["created_at"]
    for query, count in ((f"created_before={moment}", 0), ("created_before=2999-01-01T00:00:00Z", 1)):
        assert (await api.get(f"/v1/jobs?{query}")).json()["_metadata"]["total_records"] == count
    for path, pointer in (
        (f"/v1/jobs/{job['id']}/items?failed_stage=x", "/failed_stage"),
        (f"/v1/jobs/{job['id']}/items?code=%00", "/code"),
        ("/v1/jobs?created_before=yesterday", "/created_before"),
        ("/v1/jobs?corpus=%00", "/corpus"),
    ):
        refused = await api.get(path)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
