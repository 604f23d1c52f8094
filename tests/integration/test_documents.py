"""Documents over HTTP: found by filters, read with versions, chunks and contents, by readers and by nobody else."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg.rows import dict_row

from resources.membership import caller_id_of
from tests.api import ALICE, BOB, Api, index_document, running_api
from tests.database import PEPPER, Database

PAGE = "https://docs.example.com/start"
ALICES, BOBS = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
BODY, TEXT = "<p>Prüfung</p>".encode("cp1252"), "Prüfung"


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        assert (await found.post("/v1/corpora", {"name": "docs"})).status_code == 201
        yield found


@pytest.fixture
def rows(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.pipeline_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


def index(rows: psycopg.Connection[Any], url: str = PAGE, *texts: str) -> str:
    """Index a document with these chunks; return its path in Alice's corpus."""
    document = index_document(rows, corpus="docs", owner=ALICE, url=url, texts=texts or ["one", "two"])
    return f"/v1/corpora/docs/documents/doc_{document.hex}"


def set_version(rows: psycopg.Connection[Any], path: str, **values: Any) -> None:
    for name, value in values.items():
        rows.execute(
            f"UPDATE cixml.document_versions SET {name} = %s WHERE document_id = %s",
            [value, UUID(path[-32:])],
        )


def store_body(rows: psycopg.Connection[Any], path: str, body: bytes, content_type: str, charset: str | None) -> None:
    sha256 = hashlib.sha256(body).digest()
    rows.execute("INSERT INTO cixml.page_bodies VALUES (%s, %s) ON CONFLICT DO NOTHING", [sha256, body])
    set_version(rows, path, body_sha256=sha256, body_bytes=len(body), content_type=content_type, charset=charset)


async def listed(api: Api, **filters: str) -> list[str]:
    answer = await api.get("/v1/corpora/docs/documents", params=filters)
    assert answer.status_code == 200, answer.text
    assert answer.json()["_metadata"]["total_records"] == len(answer.json()["content"])
    return [each["url"] for each in answer.json()["content"]]


async def test_a_list_holds_what_the_filters_let_through(api: Api, rows: psycopg.Connection[Any]) -> None:
    first, second, third = (f"https://docs.example.com/{name}" for name in "abc")
    for url, language, changed in ((first, "en", "2026-01-01Z"), (second, "de", "2026-02-01Z"), (third, "fr", None)):
        set_version(rows, index(rows, url), language=language, live_from=changed)
    rows.execute("UPDATE cixml.documents SET external_id = 'A-17' WHERE url = %s", [second])
    rows.execute("UPDATE cixml.documents SET live_version_id = NULL WHERE url = %s", [third])

    assert set(await listed(api)) == {first, second}
    assert await listed(api, url="https://DOCS.example.com:443/b#top") == [second]
    assert await listed(api, external_id="A-17") == [second]
    assert await listed(api, language="de") == [second]
    assert set(await listed(api, language="de, en")) == {first, second}
    assert await listed(api, changed_after="2026-01-15T00:00:00Z") == [second]
    assert await listed(api, status="pending") == [third]
    assert len(await listed(api, status="live,pending")) == 3
    assert await listed(api, status="live", language="fr") == []


@pytest.mark.parametrize(
    ("filters", "pointer"),
    [
        ({"status": "lost"}, "/status"),
        ({"url": "ftp://a.example/"}, "/url"),
        ({"external_id": "a\0"}, "/external_id"),
        ({"language": "english"}, "/language"),
        ({"changed_after": "yesterday"}, "/changed_after"),
        ({"cursor": "x"}, "/cursor"),
        ({"limit": "101"}, "/limit"),
    ],
)
async def test_a_filter_that_says_nothing_is_named(api: Api, filters: dict[str, str], pointer: str) -> None:
    answer = await api.get("/v1/corpora/docs/documents", params=filters)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_one_document_tells_its_versions_and_changes_its_tag(api: Api, rows: psycopg.Connection[Any]) -> None:
    path = index(rows)
    set_version(rows, path, live_from="2026-01-01Z", etag='"5"')
    old = uuid4()
    rows.execute(
        "INSERT INTO cixml.document_versions (id, document_id, corpus_id, fetch_seq, body_sha256, body_bytes, "
        "final_url, http_status, content_type, fetched_at, live_to) SELECT %s, document_id, corpus_id, 0, body_sha256, "
        "1, final_url, 200, 'text/html', now(), now() FROM cixml.document_versions",
        [old],
    )

    answer = await api.get(path)

    document = answer.json()
    assert (document["url"], document["status"], document["metadata"]) == (PAGE, "live", {"n": 1})
    assert document["changed_at"] == "2026-01-01T00:00:00Z"
    newest, oldest = document["versions"]
    assert (newest["id"], newest["is_live"], newest["etag"]) == (document["snapshot"], True, '"5"')
    assert (oldest["id"], oldest["is_live"], oldest["live_from"]) == (f"ver_{old.hex}", False, None)
    assert newest["sha256"] == hashlib.sha256(PAGE.encode()).hexdigest()  # what index_document takes for it
    tag = answer.headers["etag"]
    same = await api.get(path, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    set_version(rows, path, title="Another")
    assert (await api.get(path, headers={"If-None-Match": tag})).status_code == 200


async def test_chunks_come_in_order_over_several_answers(api: Api, rows: psycopg.Connection[Any]) -> None:
    path = index(rows, PAGE, *(f"chunk {number}" for number in range(5)))
    rows.execute("UPDATE cixml.chunks SET heading = 'Start > Here' WHERE ordinal = 0")
    found, cursor = [], {}
    while True:
        answer = (await api.get(f"{path}/chunks", params={"limit": 2, **cursor})).json()
        assert answer["_metadata"]["total_records"] == 5
        found += answer["content"]
        if answer["_metadata"]["next"] is None:
            break
        cursor = {"cursor": answer["_metadata"]["next"]}
    assert [(each["ordinal"], each["text"]) for each in found] == [(n, f"chunk {n}") for n in range(5)]
    assert (found[0]["heading"], found[0]["start"], found[0]["end"], found[0]["token_count"]) == (
        "Start > Here",
        0,
        7,
        3,
    )
    hit = (await api.post("/v1/corpora/docs/search", {"query": "chunk 3", "top_k": 1})).json()["results"][0]
    assert hit["chunk_id"] == found[3]["id"]

    rows.execute("UPDATE cixml.documents SET live_version_id = NULL")
    stale = await api.get(f"{path}/chunks", params=cursor)
    assert (stale.status_code, stale.json()["errors"][0]["pointer"]) == (422, "/cursor")
    assert (await api.get(f"{path}/chunks")).json()["content"] == []


async def test_stored_bytes_come_as_a_download_that_no_browser_runs(api: Api, rows: psycopg.Connection[Any]) -> None:
    path = index(rows)
    store_body(rows, path, BODY, "text/html", "windows-1252")

    answer = await api.get(f"{path}/content", params={"layer": "raw"})

    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["content-type"] == "text/html; charset=windows-1252"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    tag = answer.headers["etag"]
    assert tag == f'"{hashlib.sha256(BODY).hexdigest()}"'
    same = await api.get(f"{path}/content", params={"layer": "raw"}, headers={"If-None-Match": f'"x", {tag}'})
    assert (same.status_code, same.content) == (304, b"")


async def test_a_foreign_servers_type_is_no_header_of_ours(api: Api, rows: psycopg.Connection[Any]) -> None:
    path = index(rows)
    store_body(rows, path, b"x", "text/html\r\nX-Bad: 1", "utf-8")
    answer = await api.get(f"{path}/content", params={"layer": "raw"})
    assert (answer.headers["content-type"], answer.headers.get("x-bad")) == ("application/octet-stream", None)


async def test_the_text_layer_is_what_the_offsets_count_in(api: Api, rows: psycopg.Connection[Any]) -> None:
    path = index(rows)
    assert (await api.get(f"{path}/content")).status_code == 404  # nothing was extracted
    sha256 = hashlib.sha256(TEXT.encode()).digest()
    set_version(rows, path, text=TEXT, text_sha256=sha256)
    answer = await api.get(f"{path}/content")
    assert (answer.text, answer.headers["content-type"]) == (TEXT, "text/plain; charset=utf-8")
    assert answer.headers["etag"] == f'"{sha256.hex()}"'
    assert (await api.get(f"{path}/content", params={"layer": "html"})).status_code == 422


async def test_sources_are_listed_over_several_answers(api: Api, rows: psycopg.Connection[Any]) -> None:
    urls = [f"https://docs.example.com/{number}" for number in range(3)]
    paths = {url: index(rows, url) for url in urls}
    first = (await api.get("/v1/corpora/docs/sources", params={"limit": 2})).json()
    rest = (await api.get("/v1/corpora/docs/sources", params={"cursor": first["_metadata"]["next"]})).json()
    found = {each["url"]: each["document_id"] for each in first["content"] + rest["content"]}
    assert found == {url: path.rpartition("/")[2] for url, path in paths.items()}
    assert (len(first["content"]), first["_metadata"]["total_records"], rest["_metadata"]["next"]) == (2, 3, None)


async def test_a_refresh_fetches_the_documents_url_again(api: Api, rows: psycopg.Connection[Any]) -> None:
    path = index(rows, "https://docs.example.com/a%7Eb?c=1")
    rows.execute("UPDATE cixml.documents SET url_key = 'https://docs.example.com/a~b?c=1'")
    answer = await api.post(f"{path}/refresh", None, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    again = await api.post(f"{path}/refresh", None, headers={"Idempotency-Key": "k"})
    assert again.json() == answer.json()
    queued = rows.execute(
        "SELECT i.url, d.id FROM cixml.work_queue q JOIN cixml.job_items i ON i.id = q.item_id "
        "JOIN cixml.documents d ON (d.corpus_id, d.url_key) = (i.corpus_id, i.url_key)"
    ).fetchall()
    assert queued == [{"url": "https://docs.example.com/a%7Eb?c=1", "id": UUID(path[-32:])}]


async def test_a_pushed_document_is_not_fetched_but_pushed_again(api: Api) -> None:
    await api.send("PUT", "/v1/corpora/docs/documents", json={"external_id": "T-1", "text": "x"})
    listed = await api.get("/v1/corpora/docs/documents", params={"status": "pending"})
    path = f"/v1/corpora/docs/documents/{listed.json()['content'][0]['id']}"
    answer = await api.post(f"{path}/refresh", None)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "cixml_document_refresh_211")
    assert "push it again" in answer.json()["detail"]


async def test_a_refresh_takes_a_grant_to_write(api: Api, rows: psycopg.Connection[Any]) -> None:
    path = index(rows)
    granted = path.replace("/docs/", f"/{ALICES}:docs/")
    for role, status in ((None, 404), ("reader", 403), ("writer", 202)):
        if role:
            await api.send("PUT", f"/v1/corpora/docs/grants/{BOBS}", json={"role": role})
        assert (await api.post(f"{granted}/refresh", None, key=BOB)).status_code == status
    assert (await api.post(f"{granted[:-36]}doc_{'0' * 32}/refresh", None, key=BOB)).status_code == 404


READS = ("/documents", "/documents/{doc}", "/documents/{doc}/chunks", "/documents/{doc}/content?layer=raw", "/sources")


@pytest.mark.parametrize("read", READS)
async def test_a_grant_to_read_is_enough_and_without_one_nothing_is_there(
    api: Api, rows: psycopg.Connection[Any], read: str
) -> None:
    path = index(rows)
    store_body(rows, path, BODY, "text/html", None)
    granted = f"/v1/corpora/{ALICES}:docs" + read.replace("{doc}", path[-36:])
    missing = granted.replace(":docs", ":nono")

    answers = [await api.get(address, key=BOB) for address in (granted, missing)]
    assert [answer.status_code for answer in answers] == [404, 404]
    bodies = [answer.json() for answer in answers]
    for each in bodies:
        del each["instance"], each["request_id"], each["trace_id"]
    assert bodies[0] == bodies[1]

    answer = await api.send("PUT", f"/v1/corpora/docs/grants/{BOBS}", json={"role": "reader"})
    assert answer.status_code == 200
    of_the_owner = await api.get(granted.replace(f"{ALICES}:", ""))
    assert (await api.get(granted, key=BOB)).content == of_the_owner.content
    assert of_the_owner.status_code == 200


@pytest.mark.parametrize("read", READS[1:4])
async def test_a_document_is_found_in_its_own_corpus_alone(api: Api, rows: psycopg.Connection[Any], read: str) -> None:
    await api.post("/v1/corpora", {"name": "other"})
    path = index(rows)
    inside = read.replace("{doc}", path[-36:])
    assert (await api.get(f"/v1/corpora/other{inside}")).status_code == 404
    for wrong in ("doc_" + "0" * 32, "doc_x", path[-36:].upper(), "job_" + path[-32:]):
        assert (await api.get(f"/v1/corpora/docs{read.replace('{doc}', wrong)}")).status_code == 404
