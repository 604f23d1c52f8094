"""Dead letters over all jobs of a caller: listed, read, retried one at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from resources.postgres.database import Database as PipelineDatabase
from tests.api import BOB, Api, running_api
from tests.database import Database
from tests.integration.test_job_actions import failed_job, items_of, submit


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


async def listed(api: Api, query: str = "", **more: Any) -> list[str]:
    answer = await api.get(f"/v1/items?{query}", **more)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["content"]]


async def test_failed_items_of_all_jobs_are_listed_by_filters_newest_first(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    parent, (first, second, _) = await failed_job(api, owner, pipeline)
    await submit(api, "https://docs.example.com/open")
    both = [second["id"], first["id"]]
    assert await listed(api) == await listed(api, "status=failed&corpus=docs") == both
    assert await listed(api, "stage=scraping") == [first["id"]]
    assert await listed(api, "stage=scraping,embedding&code=store_failed,x") == both
    assert await listed(api, "code=http_4xx") == await listed(api, "corpus=other") == []
    assert await listed(api, f"created_after={second['created_at']}") == []
    assert await listed(api, key=BOB) == []
    page = (await api.get("/v1/items?limit=1")).json()
    assert (page["content"][0]["job_id"], page["content"][0]["corpus"]) == (parent["id"], "docs")
    assert page["_metadata"]["total_records"] == 2
    assert await listed(api, f"limit=1&cursor={page['_metadata']['next']}") == [first["id"]]


@pytest.mark.parametrize("query", ["status=indexed", "stage=x", "corpus=A B", "code=%00", "cursor=x", "limit=0"])
async def test_a_filter_that_is_none_is_named(api: Api, query: str) -> None:
    answer = await api.get(f"/v1/items?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{query.partition('=')[0]}")


async def test_one_item_is_retried_from_the_stage_that_failed_once_for_a_key(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    parent, (_, second, third) = await failed_job(api, owner, pipeline)
    retry = f"/v1/items/{second['id']}/retry"
    answers = [await api.post(retry, None, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    child = answers[0].json()
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[1].json() == child
    assert answers[0].headers["location"] == child["links"]["self"]
    assert (child["parent_job_id"], child["items"]["total"]) == (parent["id"], 1)
    (item,) = await items_of(api, child["id"])
    assert item["url"] == second["url"]
    assert second["id"] not in await listed(api)
    assert (await api.get(f"/v1/items/{second['id']}")).json()["retried_as"] == item["id"]
    stages = "SELECT start_stage FROM cixml.job_items WHERE id = %s::uuid"
    assert owner.execute(stages, [item["id"].removeprefix("item_")]).fetchone() == ("embedding",)
    assert (await api.get(f"/v1/items/{item['id']}")).json() == item | {"job_id": child["id"], "corpus": "docs"}
    for whole in (third, item):  # indexed, queued
        refused = await api.post(f"/v1/items/{whole['id']}/retry", None)
        assert (refused.status_code, refused.json()["error_code"]) == (409, "cixml_item_retry_202")


async def test_anothers_item_answers_like_a_missing_one(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    _, (first, *_) = await failed_job(api, owner, pipeline)
    for method, action in (("GET", ""), ("POST", "/retry")):
        bodies = []
        for name in (first["id"], "item_" + "0" * 32, "item_x"):
            answer = await api.send(method, f"/v1/items/{name}{action}", key=BOB)
            assert answer.status_code == 404
            own = ("instance", "request_id", "trace_id")
            bodies.append({k: v for k, v in answer.json().items() if k not in own})
        assert bodies[0] == bodies[1] == bodies[2]
    assert owner.execute("SELECT count(*) FROM cixml.jobs").fetchone() == (1,)


def test_the_list_is_read_from_an_index_that_a_change_of_status_leaves_alone(owner: psycopg.Connection[Any]) -> None:
    owner.execute("SET enable_seqscan = off")
    plan = owner.execute(
        "EXPLAIN SELECT id FROM cixml.job_items WHERE caller_id = 'c' AND failed_stage IS NOT NULL "
        "AND status = 'failed' ORDER BY id DESC LIMIT 50"
    ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "ix_job_items__failed" in text
    assert "Sort" not in text
