"""Pushed documents by the rows: submitted over HTTP, worked on by the pipeline's own functions."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest
import pytest_asyncio
from dagster import DagsterInstance
from psycopg import errors

from resources.membership import caller_id_of
from resources.orchestration import tags
from resources.orchestration.fetching import FetchResource
from resources.orchestration.fetching import _fetch as fetch
from resources.orchestration.runtime import Runtime
from resources.orchestration.work import RunWork
from resources.postgres import batches, chunks, claims, corpus_lock, items, pages, pushes
from resources.postgres.chunks import ChunkedVersion
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.items import ItemEnd
from resources.postgres.queries import query
from resources.postgres.receipts import DocumentFilter
from resources.types import BatchState, ItemStatus, Stage, TextLayer
from tests.api import ALICE, BOB, Api, running_api
from tests.builders import make_worker
from tests.database import PEPPER, Database
from tests.deletion import sweep, sweeper_of
from tests.integration.test_cancellation import wait_for_lock
from tests.rows import begin, claim_all, embed_and_flip, extracted

DOCUMENTS = "/v1/corpora/docs/documents"
ALICES = caller_id_of(ALICE, PEPPER)


@pytest_asyncio.fixture
async def api(database: Database, owner: psycopg.Connection[Any], tmp_path: Path) -> AsyncIterator[Api]:
    make_worker(owner)
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        assert (await found.post("/v1/corpora", {"name": "docs"})).status_code == 201
        yield found


async def push(api: Api, text: str, external_id: str = "T-1", **more: Any) -> dict[str, Any]:
    answer = await api.send("PUT", DOCUMENTS, json={"external_id": external_id, "text": text, **more})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    found: dict[str, Any] = answer.json()
    return found


def run(pipeline: PipelineDatabase) -> int:
    """Take all batches that may be claimed from the claim to the flip; return how many texts were embedded."""
    return sum(work(pipeline, claimed) for claimed in claim_all(pipeline))


def work(pipeline: PipelineDatabase, claimed: claims.ClaimedBatch) -> int:
    run_id = str(uuid4())
    batch = begin(pipeline, claimed.batch_id, run_id)
    with pipeline.transaction() as connection:
        unchanged = pushes.settle(connection, batch_id=batch.batch_id)
        ends = [ItemEnd(item_id=each.item_id, status=ItemStatus.UNCHANGED) for each in unchanged]
        items.end(connection, batch_id=batch.batch_id, ends=ends)
        assert pages.fetch_items(connection, batch_id=batch.batch_id) == []
        open_items = [item.item_id for item in batches.open_items(connection, batch_id=batch.batch_id)]
        fp = batch.serving.chunking_fp
        versions = pages.versions_to_chunk(connection, batch_id=batch.batch_id, chunking_fp=fp)
        bodies = pages.bodies(connection, version_ids=[version.document_version_id for version in versions])
        done = [
            ChunkedVersion(version=each, document=extracted((bodies[each.document_version_id].body or b"").decode()))
            for each in versions
        ]
        corpus_lock.share(connection, corpus_id=batch.corpus_id)
        chunks.store(connection, batch_id=batch.batch_id, chunking_fp=fp, versions=done)
        rows = chunks.of_batch(connection, batch_id=batch.batch_id, chunking_fp=fp, relation=batch.serving.relation)
    hashes = list({row.chunk_hash for row in rows if not row.is_stored})
    embed_and_flip(pipeline, batch, hashes, open_items, run_id)
    with pipeline.transaction() as connection:
        batches.finish(connection, batch_id=batch.batch_id, state=BatchState.DONE)
    return len(hashes)


async def item_of(api: Api, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/v1/jobs/{job['id']}/items")).json()["content"][0]
    return found


async def only_document(api: Api) -> dict[str, Any]:
    listed = (await api.get(DOCUMENTS, params={"status": "live,pending"})).json()["content"]
    assert len(listed) == 1
    found: dict[str, Any] = (await api.get(f"{DOCUMENTS}/{listed[0]['id']}")).json()
    return found


async def test_a_text_layer_is_frozen_and_read_in_the_place_of_its_bytes(
    api: Api,
    pipeline: PipelineDatabase,
) -> None:
    await push(api, "The first text.")
    run(pipeline)
    with pipeline.transaction() as connection:
        (version_id,) = connection.execute("SELECT id FROM cixml.document_versions").fetchall()[0]
        found = pages.bodies(connection, version_ids=[version_id])[version_id]
    assert found.body is None
    assert found.layer == TextLayer(text="The first text.", title="T", language="en", coverage=1.0, extractor="test")


async def test_a_pushed_text_is_indexed_from_its_stored_bytes(
    api: Api,
    pipeline: PipelineDatabase,
) -> None:
    job = await push(api, "The first text.\0", title="Mine", metadata={"product": "x"})
    assert (job["items"]["queued"], job["usage"]["bytes"]) == (1, 15)
    assert (await only_document(api))["status"] == "pending"
    assert run(pipeline) == 1

    item = await item_of(api, job)
    document = await only_document(api)
    assert (item["status"], item["url"], item["external_id"], item["change"]) == ("indexed", None, "T-1", "new")
    assert item["document_id"] == document["id"]
    assert (document["url"], document["external_id"], document["status"]) == (None, "T-1", "live")
    assert (document["title"], document["metadata"], document["content_type"]) == (
        "Mine",
        {"product": "x"},
        "text/plain",
    )
    raw = await api.get(f"{DOCUMENTS}/{document['id']}/content", params={"layer": "raw"})
    assert (raw.text, raw.headers["content-type"]) == ("The first text.", "text/plain; charset=utf-8")
    hit = (await api.post("/v1/corpora/docs/search", {"query": "first"})).json()["results"][0]
    assert (hit["url"], hit["external_id"], hit["text"]) == (None, "T-1", "The first text.")
    source = (await api.get("/v1/corpora/docs/sources")).json()["content"][0]
    assert (source["url"], source["external_id"], source["document_id"]) == (None, "T-1", document["id"])
    assert (await api.get(f"/v1/jobs/{job['id']}")).json()["status"] == "succeeded"


async def test_the_same_text_again_costs_nothing_and_another_is_a_new_version(
    api: Api,
    pipeline: PipelineDatabase,
) -> None:
    await push(api, "One.")
    run(pipeline)
    first = await only_document(api)

    same = await push(api, "One.", title="Titled", metadata={"seen": 2})
    assert run(pipeline) == 0
    item = await item_of(api, same)
    assert (item["status"], item["change"], item["document_id"]) == ("unchanged", "unchanged", first["id"])
    again = await only_document(api)
    assert [each["id"] for each in again["versions"]] == [first["snapshot"]]
    assert (again["title"], again["metadata"]) == ("Titled", {"seen": 2})
    assert again["checked_at"] > first["checked_at"]

    other = await push(api, "Two.")
    assert run(pipeline) == 1
    second = await only_document(api)
    assert ((await item_of(api, other))["change"], second["id"]) == ("changed", first["id"])
    assert [each["is_live"] for each in second["versions"]] == [True, False]
    as_markdown = await api.send("PUT", DOCUMENTS, json={"external_id": "T-1", "markdown": "Two."})
    run(pipeline)
    assert (await item_of(api, as_markdown.json()))["change"] == "changed"
    assert (await only_document(api))["content_type"] == "text/markdown"
    used = (await api.get("/v1/usage")).json()["total"]
    assert (used["pages"], used["bytes"], used["chunks"]) == (0, 4 * len("One."), 3)


async def test_what_was_pushed_last_stays_whichever_is_worked_on_last(
    api: Api,
    owner: psycopg.Connection[Any],
    pipeline: PipelineDatabase,
) -> None:
    await push(api, "One.")
    run(pipeline)
    older = await push(api, "Two.")
    await push(api, "One.")  # as it is live now, but "Two." is on its way
    owner.execute(
        "UPDATE cixml.work_queue SET ready_at = now() + interval '1 hour' "
        "WHERE item_id = (SELECT id FROM cixml.job_items WHERE job_id = %s)",
        [UUID(older["id"][-32:])],
    )
    run(pipeline)
    owner.execute("UPDATE cixml.work_queue SET ready_at = now()")
    run(pipeline)
    document = await only_document(api)
    assert document["versions"][-1]["id"] == document["snapshot"]
    raw = await api.get(f"{DOCUMENTS}/{document['id']}/content", params={"layer": "raw"})
    assert raw.text == "One."


async def test_a_job_takes_urls_and_documents_together(
    api: Api,
    owner: psycopg.Connection[Any],
) -> None:
    documents = [{"external_id": "a", "text": "Same."}, {"external_id": "b", "markdown": "Same."}]
    body = {"corpus": "docs", "urls": ["https://docs.example.com/a"], "documents": documents}
    answer = await api.post("/v1/jobs", body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["items"]["total"]) == (202, 3)
    again = await api.post("/v1/jobs", body, headers={"Idempotency-Key": "k"})
    assert (again.json(), again.headers["idempotency-replayed"]) == (answer.json(), "true")
    listed = (await api.get(f"/v1/jobs/{answer.json()['id']}/items")).json()["content"]
    assert [each["url"] or each["external_id"] for each in listed] == ["https://docs.example.com/a", "a", "b"]
    stages = owner.execute("SELECT start_stage FROM cixml.job_items ORDER BY ordinal").fetchall()
    assert stages == [("scraping",), ("chunking",), ("chunking",)]
    assert owner.execute("SELECT sha256, body FROM cixml.page_bodies").fetchall() == [
        (hashlib.sha256(b"Same.").digest(), b"Same.")
    ]
    only_documents = await api.post("/v1/jobs", {"corpus": "new", "documents": documents[:1]})
    assert only_documents.status_code == 202


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({}, ["/urls"]),
        ({"documents": []}, ["/urls"]),
        (
            {"documents": [{"external_id": "a", "text": "x"}, {"external_id": "a", "text": "y"}]},
            ["/documents/0/external_id", "/documents/1/external_id"],
        ),
        ({"documents": [{"external_id": "a\0", "text": "x"}]}, ["/documents/0/external_id"]),
        ({"documents": [{"external_id": str(n), "text": "x"} for n in range(1001)]}, ["/documents"]),
    ],
)
async def test_what_a_job_can_not_take_is_named(api: Api, change: dict[str, Any], pointers: list[str]) -> None:
    answer = await api.post("/v1/jobs", {"corpus": "docs", **change})
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == pointers


async def test_lone_surrogates_are_replaced_in_texts_and_refused_elsewhere(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    text = await api.send("PUT", DOCUMENTS, content=rb'{"external_id": "a", "text": "x\ud800"}', headers=headers)
    assert (text.status_code, text.json()["usage"]["bytes"]) == (202, len("x\ufffd".encode()))
    body = rb'{"external_id": "a", "text": "x", "metadata": {"text": "\u0000"}}'
    refused = await api.send("PUT", DOCUMENTS, content=body, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/metadata/text")


async def test_a_run_ends_what_is_live_already_before_it_fetches(
    api: Api, database: Database, pipeline: PipelineDatabase
) -> None:
    await push(api, "One.")
    run(pipeline)
    same = await push(api, "One.")
    (claimed,) = claim_all(pipeline)
    parts = Runtime(database.settings())
    tagged = dg.DagsterRun(job_name="test", run_id=str(uuid4()), tags={tags.BATCH: str(claimed.batch_id)})
    work = RunWork(tagged, parts)
    lease = work.ingest(refresh_all=False)
    assert lease is not None
    assert list(FetchResource().stream(lease)) == []
    assert (await item_of(api, same))["status"] == "unchanged"
    assert (await api.get(f"/v1/jobs/{same['id']}")).json()["status"] == "succeeded"
    work.close()
    parts.database.close()


async def fail(api: Api, pipeline: PipelineDatabase) -> dict[str, Any]:
    """Push a text whose chunking fails; return a retry of it."""
    job = await push(api, "One.")
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    with pipeline.transaction() as connection:
        pushes.settle(connection, batch_id=batch.batch_id)
        (item,) = batches.open_items(connection, batch_id=batch.batch_id)
        end = ItemEnd(item_id=item.item_id, status=ItemStatus.FAILED, failed_stage=Stage.CHUNKING, error={"code": "x"})
        items.end(connection, batch_id=batch.batch_id, ends=[end])
        batches.finish(connection, batch_id=batch.batch_id, state=BatchState.DONE)
    answer = await api.post(f"/v1/jobs/{job['id']}/retry", {})
    assert answer.status_code == 202
    found: dict[str, Any] = answer.json()
    return found


async def test_a_retry_begins_with_the_stored_text(api: Api, pipeline: PipelineDatabase) -> None:
    child = await fail(api, pipeline)
    assert run(pipeline) == 1
    item = await item_of(api, child)
    assert (item["status"], item["change"]) == ("indexed", "new")


async def test_a_text_that_retention_has_taken_is_asked_for_again(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    await fail(api, pipeline)
    owner.execute("UPDATE cixml.job_items SET document_version_id = NULL WHERE status = 'queued'")
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    with pipeline.transaction() as connection:
        (waiting,) = pages.fetch_items(connection, batch_id=batch.batch_id)
    outcome = await fetch(waiting, on_turn=lambda: None)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.retryable) == ("content_removed", False)


async def test_a_refresh_passes_pushed_documents_by(
    api: Api,
    owner: psycopg.Connection[Any],
    pipeline: PipelineDatabase,
) -> None:
    await push(api, "One.")
    run(pipeline)
    row = owner.execute("SELECT id FROM cixml.corpora").fetchone()
    assert row
    with pipeline.transaction() as connection:
        opened = batches.open_refresh(
            connection, corpus_id=row[0], run_id="r", older_than_seconds=0, limit=10, lease_seconds=15
        )
    assert opened is None


async def test_who_may_push_is_who_may_write(api: Api) -> None:
    body = {"external_id": "T-1", "text": "x"}
    granted, missing = (f"/v1/corpora/{ALICES}:{name}/documents" for name in ("docs", "nono"))
    answers = [(await api.send("PUT", path, json=body, key=BOB)).json() for path in (granted, missing)]
    for each in answers:
        del each["instance"], each["request_id"], each["trace_id"]
    assert answers[0] == answers[1]
    assert answers[0]["status"] == 404
    grants = f"/v1/corpora/docs/grants/{caller_id_of(BOB, PEPPER)}"
    for role, status in (("reader", 403), ("writer", 202)):
        await api.send("PUT", grants, json={"role": role})
        assert (await api.send("PUT", granted, json=body, key=BOB)).status_code == status


async def test_the_login_stores_no_other_bytes_under_a_hash_and_no_version_elsewhere(
    api: Api,
    database: Database,
    pipeline: PipelineDatabase,
) -> None:
    await push(api, "One.")
    with psycopg.connect(database.api_url, autocommit=True) as login:
        login.execute("SELECT set_config('cixml.caller_id', %s, false)", [ALICES])
        for statement in (
            "INSERT INTO cixml.page_bodies VALUES (sha256('a'), 'b')",
            "INSERT INTO cixml.documents (corpus_id, url_key, url, host) SELECT corpus_id, 'k', 'https://x/', 'x' "
            "FROM cixml.documents",
            "INSERT INTO cixml.document_versions (document_id, corpus_id, fetch_seq, body_sha256, body_bytes, "
            "content_type, fetched_at) SELECT uuidv7(), corpus_id, 9, body_sha256, 1, 'text/plain', now() "
            "FROM cixml.document_versions",
            "UPDATE cixml.page_bodies SET body = 'x'",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(statement.encode())


async def test_what_was_pushed_goes_with_its_document_and_a_push_afterwards_is_a_new_one(
    api: Api, pipeline: PipelineDatabase, owner: psycopg.Connection[Any], database: Database
) -> None:
    job = await push(api, "Deleted before its run.")
    [document] = (await api.get(DOCUMENTS, params={"status": "pending"})).json()["content"]
    assert (await api.send("DELETE", f"{DOCUMENTS}/{document['id']}")).status_code == 202
    await push(api, "Pushed afterwards.")
    with dg.DagsterInstance.ephemeral() as instance, closing(sweeper_of(database, instance)) as sweeper:
        sweep(sweeper, owner)
    [item] = (await api.get(f"/v1/jobs/{job['id']}/items")).json()["content"]
    assert item["status"] == "skipped"
    assert run(pipeline) == 1
    [found] = (await api.get(DOCUMENTS)).json()["content"]
    assert found["id"] != document["id"]
    assert owner.execute("SELECT count(*) FROM cixml.page_bodies").fetchone() == (1,)


async def test_a_push_that_waited_for_a_deletion_of_its_document_is_of_after_it(
    api: Api, pipeline: PipelineDatabase, database: Database, owner: psycopg.Connection[Any]
) -> None:
    await push(api, "The first text of the page.")
    run(pipeline)
    corpus_id, document_id = owner.execute("SELECT corpus_id, id FROM cixml.documents").fetchone() or (None, None)
    where = DocumentFilter(document_id=document_id).parameters()
    with psycopg.connect(database.owner_url) as deleting:
        deleting.execute("SELECT set_config('cixml.caller_id', %s, true)", [ALICES])
        deleting.execute(query("lock_corpus"), {"corpus_id": corpus_id})
        pushing = asyncio.create_task(push(api, "The second text of the page."))
        await asyncio.to_thread(wait_for_lock, owner)
        deleting.execute(
            query("delete_documents"),
            {"corpus_id": corpus_id, "address": "docs", "kind": "document", "traceparent": None} | where,
        )
    job = await pushing
    with DagsterInstance.ephemeral() as instance, closing(sweeper_of(database, instance)) as sweeper:
        sweep(sweeper, owner)
    run(pipeline)
    assert (await api.get(f"/v1/jobs/{job['id']}")).json()["status"] == "succeeded"
    assert owner.execute("SELECT count(*) FROM cixml.documents WHERE live_version_id IS NOT NULL").fetchone() == (1,)
