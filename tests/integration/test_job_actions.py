"""Cancel and retry over the API, on rows that the pipeline's own functions wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from resources.identifiers import Prefix, parse_public_id, public_id
from resources.postgres import batches, items, pages
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.items import ItemEnd
from resources.types import BatchState, ItemStatus, Stage
from tests.api import BOB, Api, running_api
from tests.builders import CHUNKING_FP, make_worker
from tests.database import Database
from tests.rows import begin, claim_all, embed_and_flip, store_document

PAGES = [f"https://docs.example.com/{name}" for name in "abc"]
ERROR = {"code": "store_failed", "retryable": True, "detail": "the vectors could not be stored"}


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


async def submit(api: Api, *urls: str) -> dict[str, Any]:
    answer = await api.post("/v1/jobs", {"corpus": "docs", "urls": list(urls or PAGES)})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def items_of(api: Api, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get(f"/v1/jobs/{job_id}/items")).json()["content"]
    return found


def begin_one(owner: psycopg.Connection[Any], pipeline: PipelineDatabase, run_id: str = "run-1") -> batches.Batch:
    make_worker(owner)
    owner.execute("UPDATE cixml.index_versions SET chunking_fp = %s", [CHUNKING_FP])
    (claimed,) = claim_all(pipeline)
    return begin(pipeline, claimed.batch_id, run_id)


def fail(pipeline: PipelineDatabase, batch: batches.Batch, stages: dict[str, Stage]) -> None:
    """End these items (by public id) as failed, and the batch."""
    ends = [
        ItemEnd(item_id=parse_public_id(Prefix.ITEM, name), status=ItemStatus.FAILED, failed_stage=stage, error=ERROR)
        for name, stage in stages.items()
    ]
    with pipeline.transaction() as connection:
        items.end(connection, batch_id=batch.batch_id, ends=ends)


def finish(pipeline: PipelineDatabase, batch: batches.Batch) -> None:
    with pipeline.transaction() as connection:
        batches.finish(connection, batch_id=batch.batch_id, state=BatchState.DONE)


async def failed_job(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A job whose first page failed before it was fetched, the second after it was cut; the third is indexed."""
    job = await submit(api)
    first, second, third = await items_of(api, job["id"])
    batch = begin_one(owner, pipeline)
    fail(pipeline, batch, {first["id"]: Stage.SCRAPING})
    hashes = store_document(pipeline, batch, b"body", "one two", "three")
    embed_and_flip(pipeline, batch, hashes, [parse_public_id(Prefix.ITEM, third["id"])])
    fail(pipeline, batch, {second["id"]: Stage.EMBEDDING})
    finish(pipeline, batch)
    return (await api.get(f"/v1/jobs/{job['id']}")).json(), [first, second, third]


async def test_a_queued_job_is_cancelled_at_once_and_again_without_effect(
    api: Api, owner: psycopg.Connection[Any]
) -> None:
    job = await submit(api)
    first = await api.post(f"/v1/jobs/{job['id']}/cancel", None)
    assert (first.status_code, first.json()["status"]) == (202, "cancelled")
    assert first.json()["items"]["cancelled"] == 3
    assert first.json()["cancel_requested"] is True
    assert owner.execute("SELECT count(*) FROM cixml.work_queue").fetchone() == (0,)
    again = await api.client.post(f"/v1/jobs/{job['id']}/cancel", headers={"X-API-Key": "key-of-alice"})
    assert (again.status_code, again.json()) == (200, first.json())


async def test_a_job_under_work_is_cancelling_until_its_run_lets_go(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    job = await submit(api)
    batch = begin_one(owner, pipeline)
    for _ in range(2):
        answer = await api.post(f"/v1/jobs/{job['id']}/cancel", None)
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    with pipeline.transaction() as connection:
        items.end_cancelled(connection, batch_id=batch.batch_id)
    answer = await api.post(f"/v1/jobs/{job['id']}/cancel", None)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


async def test_a_retry_is_a_child_job_of_what_failed_from_the_stage_that_failed(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    parent, (first, second, _) = await failed_job(api, owner, pipeline)
    assert parent["status"] == "partial"
    answer = await api.client.post(f"/v1/jobs/{parent['id']}/retry", headers={"X-API-Key": "key-of-alice"})
    child = answer.json()
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == child["links"]["self"] == f"/v1/jobs/{child['id']}"
    assert (child["parent_job_id"], child["status"], child["items"]["total"]) == (parent["id"], "queued", 2)
    assert [each["url"] for each in await items_of(api, child["id"])] == [first["url"], second["url"]]
    stages = owner.execute(
        "SELECT start_stage, document_version_id IS NOT NULL, chunks_total FROM cixml.job_items WHERE job_id = %s "
        "ORDER BY ordinal",
        [parse_public_id(Prefix.JOB, child["id"])],
    ).fetchall()
    assert stages == [("scraping", False, 0), ("embedding", True, 2)]
    assert (await api.get(f"/v1/jobs/{parent['id']}")).json() == parent

    batch = begin_one(owner, pipeline, "run-2")
    with pipeline.transaction() as connection:
        assert [item.url for item in pages.fetch_items(connection, batch_id=batch.batch_id)] == [first["url"]]
    hashes = store_document(pipeline, batch, b"other", "four")
    embed_and_flip(pipeline, batch, hashes, await ids(api, child["id"]), "run-2")
    assert (await api.get(f"/v1/jobs/{child['id']}")).json()["status"] == "succeeded"
    assert owner.execute("SELECT count(*) FROM cixml.documents WHERE live_version_id IS NULL").fetchone() == (0,)


async def ids(api: Api, job_id: str) -> list[UUID]:
    return [parse_public_id(Prefix.ITEM, item["id"]) for item in await items_of(api, job_id)]


async def test_a_retry_whose_bytes_have_aged_away_is_fetched_again(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    parent, (_, second, _) = await failed_job(api, owner, pipeline)
    body = {"stages": ["embedding"]}
    before = (await api.post(f"/v1/jobs/{parent['id']}/retry", body)).json()  # queued while the bytes are there
    owner.execute("DELETE FROM cixml.chunks WHERE chunk_set_id IN (SELECT id FROM cixml.chunk_sets)")
    owner.execute("DELETE FROM cixml.chunk_sets")
    owner.execute("DELETE FROM cixml.document_versions WHERE live_from IS NULL")
    after = (await api.post(f"/v1/jobs/{parent['id']}/retry", body)).json()
    stages = owner.execute(
        "SELECT start_stage FROM cixml.job_items WHERE job_id = %s", [parse_public_id(Prefix.JOB, after["id"])]
    ).fetchone()
    assert stages == ("scraping",)
    for number, job in enumerate((before, after)):
        batch = begin_one(owner, pipeline, f"run-{number + 2}")
        with pipeline.transaction() as connection:
            assert [item.url for item in pages.fetch_items(connection, batch_id=batch.batch_id)] == [second["url"]]
        hashes = store_document(pipeline, batch, b"again", "five")
        embed_and_flip(pipeline, batch, hashes, await ids(api, job["id"]), f"run-{number + 2}")
        finish(pipeline, batch)
        assert (await api.get(f"/v1/jobs/{job['id']}")).json()["status"] == "succeeded"


async def test_dead_letters_are_listed_and_one_of_them_requeued(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    parent, (first, second, third) = await failed_job(api, owner, pipeline)
    dead = (await api.get(f"/v1/jobs/{parent['id']}/items?status=failed")).json()["content"]
    assert [(item["id"], item["error"]["code"], item["failed_stage"]) for item in dead] == [
        (first["id"], "store_failed", "scraping"),
        (second["id"], "store_failed", "embedding"),
    ]
    retry = f"/v1/jobs/{parent['id']}/retry"
    child = (await api.post(retry, {"items": [second["id"]]})).json()
    assert [item["url"] for item in await items_of(api, child["id"])] == [second["url"]]
    refused = await api.post(
        retry, {"items": [second["id"], third["id"], "item_x", public_id(Prefix.ITEM, UUID(int=7))]}
    )
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/items/2"
    refused = await api.post(retry, {"items": [second["id"], third["id"]]})
    assert [each["pointer"] for each in refused.json()["errors"]] == ["/items/1"]
    assert owner.execute("SELECT count(*) FROM cixml.jobs").fetchone() == (2,)


async def test_a_retry_of_nothing_is_a_conflict_and_makes_no_job(api: Api, owner: psycopg.Connection[Any]) -> None:
    job = await submit(api)
    for body in ({}, {"only": ["cancelled"]}, {"stages": ["chunking"]}):
        answer = await api.post(f"/v1/jobs/{job['id']}/retry", body)
        assert (answer.status_code, answer.json()["error_code"]) == (409, "cixml_job_retry_202")
    for body in ({"only": []}, {"only": ["indexed"]}, {"stages": ["x"]}, {"items": []}, {"nly": ["failed"]}):
        assert (await api.post(f"/v1/jobs/{job['id']}/retry", body)).status_code == 422
    assert owner.execute("SELECT count(*) FROM cixml.jobs").fetchone() == (1,)


@pytest.mark.parametrize("action", ["cancel", "retry"])
async def test_anothers_job_is_acted_on_like_a_missing_one(
    api: Api, owner: psycopg.Connection[Any], action: str
) -> None:
    job = await submit(api)
    missing = "job_" + "0" * 32
    anothers, absent, malformed = await asyncio.gather(
        *(api.post(f"/v1/jobs/{name}/{action}", {}, key=BOB) for name in (job["id"], missing, "job_x"))
    )
    own = ("instance", "request_id", "trace_id")
    bodies = [{k: v for k, v in answer.json().items() if k not in own} for answer in (anothers, absent, malformed)]
    assert {answer.status_code for answer in (anothers, absent, malformed)} == {404}
    assert bodies[0] == bodies[1] == bodies[2]
    assert owner.execute("SELECT status FROM cixml.jobs").fetchall() == [("queued",)]


async def test_cancelled_items_are_retried_too(api: Api) -> None:
    job = await submit(api)
    await api.post(f"/v1/jobs/{job['id']}/cancel", None)
    answer = await api.post(f"/v1/jobs/{job['id']}/retry", {"only": ["cancelled"]})
    assert (answer.status_code, answer.json()["items"]["queued"]) == (202, 3)
