"""Corpora over HTTP: made, changed under If-Match, granted to other callers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg.rows import dict_row

from resources.membership import caller_id_of
from tests.api import ALICE, BOB, Api, index_document, running_api
from tests.database import PEPPER, Database, database, postgres_server  # noqa: F401  # fixtures

PAGE = "https://docs.example.com/start"
ALICES, BOBS = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
GRANTED = f"/v1/corpora/{ALICES}:docs"


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:  # noqa: F811
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


@pytest.fixture
def rows(database: Database) -> Iterator[psycopg.Connection[Any]]:  # noqa: F811
    with psycopg.connect(database.pipeline_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


async def make(api: Api, name: str = "docs", **settings: Any) -> dict[str, Any]:
    answer = await api.post("/v1/corpora", {"name": name, **settings})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_corpus_is_made_with_its_settings_and_served_at_once(api: Api) -> None:
    answer = await api.post(
        "/v1/corpora", {"name": "docs", "title": "Docs", "chunking": {"max_tokens": 128, "overlap_tokens": 0}}
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/corpora/docs"
    corpus = answer.json()
    assert (corpus["title"], corpus["role"], corpus["owner"], corpus["grants"]) == ("Docs", "owner", ALICES, [])
    assert corpus["active_index"]["chunking"] == {"strategy": "recursive", "max_tokens": 128, "overlap_tokens": 0}
    read = await api.get("/v1/corpora/docs")
    assert (read.json(), read.headers["etag"]) == (corpus, answer.headers["etag"])
    assert (await api.post("/v1/corpora/docs/search", {"query": "anything"})).json()["results"] == []


async def test_corpora_of_other_strategies_have_other_chunk_sets(
    api: Api,
    rows: psycopg.Connection[Any],
) -> None:
    for strategy in ("recursive", "headings", "sentences"):
        corpus = await make(api, strategy, chunking={"strategy": strategy})
        assert corpus["active_index"]["chunking"]["strategy"] == strategy
    found = rows.execute("SELECT chunking, chunking_fp FROM cixml.index_versions").fetchall()
    assert {row["chunking"]["strategy"] for row in found} == {"recursive", "headings", "sentences"}
    assert len({row["chunking_fp"] for row in found}) == 3
    wrong = await api.post("/v1/corpora", {"name": "x", "chunking": {"strategy": "magic"}})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/chunking/strategy")


async def test_what_a_corpus_excludes_is_set_and_changed(
    api: Api,
    rows: psycopg.Connection[Any],
) -> None:
    assert (await make(api, "plain"))["exclusions"] == {"tags": [], "classes": []}
    corpus = await make(api, exclusions={"tags": ["details"], "classes": ["version-note"]})
    assert corpus["exclusions"] == {"tags": ["details"], "classes": ["version-note"]}
    changed = await api.send("PATCH", "/v1/corpora/docs", json={"exclusions": {"classes": ["ad"]}})
    assert (changed.status_code, changed.json()["exclusions"]) == (200, {"tags": [], "classes": ["ad"]})
    assert (await api.send("PATCH", "/v1/corpora/docs", json={"title": "x"})).json()["exclusions"]["classes"] == ["ad"]
    wrong = await api.post("/v1/corpora", {"name": "x", "exclusions": {"tags": ["a b"], "ids": []}})
    assert wrong.status_code == 422
    assert {each["pointer"] for each in wrong.json()["errors"]} == {"/exclusions/tags/0", "/exclusions/ids"}


async def test_a_second_corpus_of_a_name_is_a_conflict_but_another_callers_is_not(api: Api) -> None:
    await make(api)
    answer = await api.post("/v1/corpora", {"name": "docs"})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "cixml_corpus_create_211")
    assert (await api.post("/v1/corpora", {"name": "docs"}, key=BOB)).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "docs", "chunking": {"max_tokens": 257}}, "/chunking/max_tokens"),
        ({"name": "docs", "chunking": {"max_tokens": 64, "overlap_tokens": 33}}, "/chunking/overlap_tokens"),
        ({"name": "docs", "chunking": {"max_tokens": "64"}}, "/chunking/max_tokens"),
        ({"name": "Docs"}, "/name"),
        ({"name": "docs", "titel": "x"}, "/titel"),
        ({}, "/name"),
    ],
)
async def test_what_can_not_be_is_refused_and_named(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = await api.post("/v1/corpora", body)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert (await api.get("/v1/corpora")).json()["content"] == []


async def test_a_change_under_an_old_tag_is_refused(api: Api) -> None:
    await make(api, title="One")
    tag = (await api.get("/v1/corpora/docs")).headers["etag"]
    changed = await api.send("PATCH", "/v1/corpora/docs", json={"title": "Two"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["title"]) == (200, "Two")
    late = await api.send("PATCH", "/v1/corpora/docs", json={"title": "Three"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["error_code"]) == (412, "cixml_corpus_update_212")
    weak = {"If-Match": "W/" + changed.headers["etag"]}
    assert (await api.send("PATCH", "/v1/corpora/docs", json={"title": "x"}, headers=weak)).status_code == 412
    cleared = await api.send("PATCH", "/v1/corpora/docs", json={"title": None}, headers={"If-Match": "*"})
    assert cleared.json()["title"] is None


async def test_a_corpus_may_ask_for_a_tag(api: Api) -> None:
    await make(api, require_if_match=True)
    answer = await api.send("PATCH", "/v1/corpora/docs", json={"require_if_match": False})
    assert (answer.status_code, answer.json()["error_code"]) == (428, "cixml_corpus_update_213")
    tag = (await api.get("/v1/corpora/docs")).headers["etag"]
    freed = await api.send("PATCH", "/v1/corpora/docs", json={"require_if_match": False}, headers={"If-Match": tag})
    assert (await api.send("PATCH", "/v1/corpora/docs", json={"title": "x"})).status_code == 200
    assert freed.status_code == 200


async def test_the_tag_is_of_the_answer_but_pages_do_not_fail_a_change(api: Api, rows: psycopg.Connection[Any]) -> None:
    await make(api)
    tag = (await api.get("/v1/corpora/docs")).headers["etag"]
    same = await api.get("/v1/corpora/docs", headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    index_document(rows, corpus="docs", owner=ALICE, url=PAGE, texts=["one", "two"])
    other = await api.get("/v1/corpora/docs", headers={"If-None-Match": tag})
    assert (other.status_code, other.json()["counts"]) == (200, {"documents": 1, "chunks": 2, "bytes": 1})
    answer = await api.send("PATCH", "/v1/corpora/docs", json={"title": "x"}, headers={"If-Match": tag})
    assert answer.status_code == 200


async def grant(api: Api, role: str, key: str = ALICE, path: str = "/v1/corpora/docs") -> Any:
    return await api.send("PUT", f"{path}/grants/{BOBS}", json={"role": role}, key=key)


async def test_a_reader_searches_and_lists_and_changes_nothing(api: Api, rows: psycopg.Connection[Any]) -> None:
    await make(api)
    index_document(rows, corpus="docs", owner=ALICE, url=PAGE, texts=["one two", "three"])
    before = await api.get(GRANTED, key=BOB)
    assert before.status_code == 404
    given = await grant(api, "reader")
    assert (given.status_code, given.json()["role"]) == (200, "reader")

    found = await api.post(f"{GRANTED}/search", {"query": "three", "top_k": 1}, key=BOB)
    assert [each["text"] for each in found.json()["results"]] == ["three"]
    listed = (await api.get("/v1/corpora", key=BOB)).json()["content"]
    assert [(each["address"], each["role"], each["grants"]) for each in listed] == [(f"{ALICES}:docs", "reader", None)]
    assert len((await api.get(f"{GRANTED}/documents", key=BOB)).json()["content"]) == 1
    job = {"corpus": f"{ALICES}:docs", "urls": [PAGE]}
    refused = [
        await api.post("/v1/jobs", job, key=BOB),
        await api.send("PATCH", GRANTED, json={"title": "x"}, key=BOB),
        await api.get(f"{GRANTED}/grants", key=BOB),
        await grant(api, "owner", key=BOB, path=GRANTED),
        await api.send("DELETE", f"{GRANTED}/grants/{BOBS}", key=BOB),
    ]
    assert [answer.status_code for answer in refused] == [403] * 5


async def test_a_writer_submits_and_its_job_names_the_corpus_as_it_does(
    api: Api, rows: psycopg.Connection[Any]
) -> None:
    corpus = await make(api)
    await grant(api, "writer")
    answer = await api.post("/v1/jobs", {"corpus": f"{ALICES}:docs", "urls": [PAGE]}, key=BOB)
    assert (answer.status_code, answer.json()["corpus"]) == (202, f"{ALICES}:docs")
    assert (await api.get(f"/v1/jobs/{answer.json()['id']}", key=BOB)).json()["corpus"] == f"{ALICES}:docs"
    assert (await api.get(f"/v1/jobs/{answer.json()['id']}")).status_code == 404
    assert (await api.send("PATCH", GRANTED, json={"title": "x"}, key=BOB)).status_code == 403
    stored = rows.execute(
        "SELECT c.partition_key FROM cixml.jobs j JOIN cixml.corpora c ON c.id = j.corpus_id"
    ).fetchone()
    assert stored == {"partition_key": corpus["partition"]}
    assert len(rows.execute("SELECT FROM cixml.corpora").fetchall()) == 1


async def test_a_granted_owner_grants_and_changes(api: Api) -> None:
    await make(api)
    await grant(api, "owner")
    assert (await api.send("PATCH", GRANTED, json={"title": "x"}, key=BOB)).status_code == 200
    third = await api.send("PUT", f"{GRANTED}/grants/c_third", json={"role": "reader"}, key=BOB)
    assert third.status_code == 200
    grants = (await api.get("/v1/corpora/docs/grants")).json()["content"]
    assert sorted((each["caller_id"], each["role"]) for each in grants) == sorted(
        [(BOBS, "owner"), ("c_third", "reader")]
    )
    own = await api.send("PUT", f"/v1/corpora/docs/grants/{ALICES}", json={"role": "reader"})
    assert own.status_code == 422


async def test_a_grant_that_is_taken_ends_with_the_next_request(api: Api, rows: psycopg.Connection[Any]) -> None:
    await make(api)
    index_document(rows, corpus="docs", owner=ALICE, url=PAGE, texts=["one"])
    await grant(api, "reader")
    assert (await api.post(f"{GRANTED}/search", {"query": "one"}, key=BOB)).status_code == 200
    assert (await api.send("DELETE", f"/v1/corpora/docs/grants/{BOBS}")).status_code == 204
    assert (await api.post(f"{GRANTED}/search", {"query": "one"}, key=BOB)).status_code == 404
    assert (await api.send("DELETE", f"/v1/corpora/docs/grants/{BOBS}")).status_code == 204


@pytest.mark.parametrize("loss", ["grant taken", "corpus deleted"])
async def test_a_writer_keeps_its_jobs_when_the_corpus_is_seen_no_more(
    api: Api, rows: psycopg.Connection[Any], loss: str
) -> None:
    await make(api)
    await grant(api, "writer")
    job = (await api.post("/v1/jobs", {"corpus": f"{ALICES}:docs", "urls": [PAGE]}, key=BOB)).json()
    path = f"/v1/jobs/{job['id']}"
    if loss == "grant taken":
        await api.send("DELETE", f"/v1/corpora/docs/grants/{BOBS}")
    else:
        rows.execute("UPDATE cixml.corpora SET deleted_at = now()")

    read = await api.get(path, key=BOB)
    assert (read.status_code, read.json().get("corpus")) == (200, f"{ALICES}:docs")
    assert [each["id"] for each in (await api.get("/v1/jobs", key=BOB)).json()["content"]] == [job["id"]]
    assert len((await api.get(f"{path}/items", key=BOB)).json()["content"]) == 1
    cancelled = await api.post(f"{path}/cancel", {}, key=BOB)
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert rows.execute("SELECT FROM cixml.work_queue").fetchone() is None
    assert (await api.post(f"{path}/retry", {}, key=BOB)).status_code == 404
    again = await api.post("/v1/jobs", {"corpus": f"{ALICES}:docs", "urls": [PAGE]}, key=BOB)
    assert again.status_code == 404
    assert (await api.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("GET", "/grants", None),
        ("PUT", "/grants/c_third", {"role": "reader"}),
        ("DELETE", "/grants/c_third", None),
        ("GET", "/documents", None),
        ("POST", "/search", {"query": "one"}),
    ],
)
async def test_another_callers_corpus_answers_like_a_missing_one(
    api: Api, method: str, path: str, body: dict[str, Any] | None
) -> None:
    await make(api)
    answers = [
        await api.send(method, f"/v1/corpora/{ALICES}:{name}{path}", json=body, key=BOB) for name in ("docs", "nono")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    bodies = [answer.json() for answer in answers]
    for each in bodies:
        del each["instance"], each["request_id"], each["trace_id"]
        each["detail"] = each["detail"].replace("'docs'", "'nono'")
    assert bodies[0] == bodies[1]
