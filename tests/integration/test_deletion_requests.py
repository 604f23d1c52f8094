"""Deletion over HTTP: what is answered, to whom, and what is gone with the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from resources.identifiers import Prefix, public_id
from resources.membership import caller_id_of
from resources.postgres.queries import query
from tests.api import ALICE, BOB, Api, index_document, running_api
from tests.database import PEPPER, Database

PAGE = "https://docs.example.com/"
ALICES, BOBS = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
GRANTED = f"/v1/corpora/{ALICES}:docs"
ROUTES = (
    ("DELETE", "", None, {"owner"}),
    ("DELETE", "/documents/{document}", None, {"owner", "writer"}),
    ("POST", "/documents/delete", {"filter": {"url_prefix": "https://"}}, {"owner", "writer"}),
    ("POST", "/documents/delete", {"filter": {"url_prefix": "https://"}, "dry_run": True}, {"owner", "writer"}),
)


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


@pytest.fixture
def rows(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.pipeline_url) as connection:
        yield connection


@pytest_asyncio.fixture
async def document(api: Api, rows: psycopg.Connection[Any]) -> str:
    """A document of Alice's corpus `docs`; there is another beside it."""
    assert (await api.post("/v1/corpora", {"name": "docs"})).status_code == 201
    index_document(rows, corpus="docs", owner=ALICE, url=f"{PAGE}b", texts=["zebra", "shared words"])
    found: UUID = index_document(rows, corpus="docs", owner=ALICE, url=f"{PAGE}a", texts=["yak", "shared words"])
    return public_id(Prefix.DOCUMENT, found)


async def hits(api: Api, query: str) -> list[str]:
    answer = await api.post("/v1/corpora/docs/search", {"query": query})
    assert answer.status_code == 200, answer.text
    return [hit["url"] for hit in answer.json()["results"] if hit["text"] == query]


async def test_a_deleted_corpus_is_missing_for_everybody_with_the_answer(api: Api, document: str) -> None:
    await api.send("PUT", f"/v1/corpora/docs/grants/{BOBS}", json={"role": "writer"})
    granted = await api.post("/v1/jobs", {"corpus": f"{ALICES}:docs", "urls": [PAGE]}, key=BOB)
    answer = await api.send("DELETE", "/v1/corpora/docs")
    assert answer.status_code == 202, answer.text
    receipt = answer.json()
    assert answer.headers["location"] == f"/v1/receipts/{receipt['id']}"
    assert (receipt["kind"], receipt["corpus"], receipt["status"]) == ("corpus", "docs", "pending")
    assert (await api.get(answer.headers["location"])).json() == receipt

    for method, path, body in (
        ("GET", "/v1/corpora/docs", None),
        ("GET", "/v1/corpora/docs/documents", None),
        ("GET", "/v1/corpora/docs/grants", None),
        ("POST", "/v1/corpora/docs/search", {"query": "yak"}),
        ("DELETE", "/v1/corpora/docs", None),
        ("DELETE", f"/v1/corpora/docs/documents/{document}", None),
        ("POST", "/v1/jobs", {"corpus": "docs", "create_corpus": False, "urls": [PAGE]}),
    ):
        assert (await api.send(method, path, json=body)).status_code == 404, (method, path)
    assert (await api.post(f"{GRANTED}/search", {"query": "yak"}, key=BOB)).status_code == 404
    assert (await api.get("/v1/corpora")).json()["content"] == []
    assert (await api.get(f"/v1/jobs/{granted.json()['id']}", key=BOB)).json()["corpus"] == f"{ALICES}:docs"
    assert (await api.post("/v1/corpora", {"name": "docs"})).status_code == 201, "the name is free"
    assert (await api.post("/v1/corpora/docs/search", {"query": "yak"})).json()["results"] == []


async def test_if_match_keeps_a_corpus_that_somebody_changed(api: Api) -> None:
    made = await api.post("/v1/corpora", {"name": "docs", "require_if_match": True})
    assert (await api.send("DELETE", "/v1/corpora/docs")).status_code == 428
    await api.send("PATCH", "/v1/corpora/docs", json={"title": "New"}, headers={"If-Match": made.headers["etag"]})
    stale = await api.send("DELETE", "/v1/corpora/docs", headers={"If-Match": made.headers["etag"]})
    assert (stale.status_code, stale.json()["error_code"]) == (412, "cixml_corpus_delete_212")
    tag = (await api.get("/v1/corpora/docs")).headers["etag"]
    assert (await api.send("DELETE", "/v1/corpora/docs", headers={"If-Match": tag})).status_code == 202


@pytest.mark.parametrize(("sends_tag", "status"), [(True, 412), (False, 202)])
async def test_a_change_while_the_deletion_waits_matters_to_who_sent_the_tag(
    api: Api, owner: psycopg.Connection[Any], sends_tag: bool, status: int
) -> None:
    made = await api.post("/v1/corpora", {"name": "docs"})
    headers = {"If-Match": made.headers["etag"]} if sends_tag else {}
    with owner.transaction():
        (corpus_id,) = owner.execute("SELECT id FROM cixml.corpora").fetchone() or (None,)
        owner.execute(query("lock_corpus"), {"corpus_id": corpus_id})
        deletion = asyncio.create_task(api.send("DELETE", "/v1/corpora/docs", headers=headers))
        async with asyncio.timeout(20):
            while owner.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is None:
                await asyncio.sleep(0.01)
        owner.execute("UPDATE cixml.corpora SET version = version + 1")
    assert (await deletion).status_code == status


async def test_a_deleted_document_is_found_no_more_and_the_counts_say_so(api: Api, document: str) -> None:
    assert await hits(api, "yak") == [f"{PAGE}a"]
    answer = await api.send("DELETE", f"/v1/corpora/docs/documents/{document}")
    assert (answer.status_code, answer.json()["kind"]) == (202, "document")
    assert await hits(api, "yak") == []
    assert await hits(api, "shared words") == [f"{PAGE}b"]
    assert (await api.get("/v1/corpora/docs")).json()["counts"]["documents"] == 1
    assert [each["url"] for each in (await api.get("/v1/corpora/docs/documents")).json()["content"]] == [f"{PAGE}b"]
    again = await api.send("DELETE", f"/v1/corpora/docs/documents/{document}")
    assert again.status_code == 404


async def test_a_dry_run_counts_and_deletes_nothing(api: Api, document: str) -> None:
    where = {"filter": {"url_prefix": PAGE, "metadata": {"n": 1}}}
    counted = await api.post("/v1/corpora/docs/documents/delete", where | {"dry_run": True})
    assert (counted.status_code, counted.json()) == (200, {"documents": 2})
    none = {"filter": {"external_ids": ["A-17"], "language": "en", "fetched_before": "2020-01-01T00:00:00Z"}}
    assert (await api.post("/v1/corpora/docs/documents/delete", none | {"dry_run": True})).json() == {"documents": 0}
    assert (await api.get("/v1/corpora/docs")).json()["counts"]["documents"] == 2
    answer = await api.post("/v1/corpora/docs/documents/delete", where)
    assert (answer.status_code, answer.json()["kind"]) == (202, "documents")
    assert (await api.get("/v1/corpora/docs")).json()["counts"]["documents"] == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/filter"),
        ({"filter": {}}, "/filter"),
        ({"filter": {"url_prefix": None}}, "/filter"),
        ({"filter": {"url_prefix": ""}}, "/filter/url_prefix"),
        ({"filter": {"url": "https://"}}, "/filter/url"),
        ({"filter": {"external_ids": []}}, "/filter/external_ids"),
        ({"filter": {"metadata": {}}}, "/filter/metadata"),
        ({"filter": {"metadata": {"a": {"b": 1}}}}, "/filter/metadata/a"),
        ({"filter": {"fetched_before": 1764000000}}, "/filter/fetched_before"),
        ({"filter": {"fetched_before": "2026-01-01T00:00:00"}}, "/filter/fetched_before"),
        ({"filter": {"language": "en"}, "dry_run": "yes"}, "/dry_run"),
        ({"filter": {"language": "en"}, "dryrun": True}, "/dryrun"),
    ],
)
async def test_a_filter_that_says_nothing_or_is_misspelt_is_refused(
    api: Api, document: str, body: dict[str, Any], pointer: str
) -> None:
    answer = await api.post("/v1/corpora/docs/documents/delete", body)
    assert answer.status_code == 422
    assert all(error["pointer"].startswith(pointer) for error in answer.json()["errors"])
    assert (await api.get("/v1/corpora/docs")).json()["counts"]["documents"] == 2


@pytest.mark.parametrize(("method", "path", "body", "roles"), ROUTES)
@pytest.mark.parametrize("role", ["owner", "writer", "reader", None])
async def test_a_grant_deletes_what_its_role_may(
    api: Api, document: str, method: str, path: str, body: Any, roles: set[str], role: str | None
) -> None:
    if role:
        await api.send("PUT", f"/v1/corpora/docs/grants/{BOBS}", json={"role": role})
    answer = await api.send(method, GRANTED + path.format(document=document), json=body, key=BOB)
    allowed = 200 if body and body.get("dry_run") else 202
    assert answer.status_code == (allowed if role in roles else 403 if role else 404)
    if answer.status_code == 202:
        location = answer.headers["location"]
        assert (await api.get(location, key=BOB)).json()["corpus"] == f"{ALICES}:docs"
        assert (await api.get(location)).status_code == 404, "a receipt is for who asked"
    else:
        assert (await api.get("/v1/corpora/docs")).json()["counts"]["documents"] == 2


@pytest.mark.parametrize("receipt_id", ["rcp_" + "0" * 32, "rcp_1", "job_" + "0" * 32])
async def test_a_receipt_that_is_not_there_is_not_found(api: Api, receipt_id: str) -> None:
    answer = await api.get(f"/v1/receipts/{receipt_id}")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "cixml_receipt_read_001")


async def test_a_job_is_not_retried_into_what_was_deleted(
    api: Api, rows: psycopg.Connection[Any], document: str
) -> None:
    job = await api.post("/v1/jobs", {"corpus": "docs", "urls": [f"{PAGE}a"]})
    rows.execute(
        "UPDATE cixml.job_items i SET status = 'failed', failed_stage = 'embedding', finished_at = now(), "
        "document_id = d.id, document_version_id = d.live_version_id FROM cixml.documents d WHERE d.url = i.url"
    )
    rows.commit()
    await api.send("DELETE", f"/v1/corpora/docs/documents/{document}")
    child = await api.post(f"/v1/jobs/{job.json()['id']}/retry", None)
    assert child.status_code == 202
    row = rows.execute(
        "SELECT start_stage, document_version_id FROM cixml.job_items ORDER BY created_at DESC LIMIT 1"
    ).fetchone()
    assert row == ("scraping", None)
    await api.send("DELETE", "/v1/corpora/docs")
    assert (await api.post(f"/v1/jobs/{job.json()['id']}/retry", None)).status_code == 404
