"""Files over HTTP: what they are, what is stored of them, and which are refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from resources.membership import caller_id_of
from tests.api import ALICE, BOB, Api, authorization, running_api
from tests.database import PEPPER, Database

FILES = "/v1/corpora/docs/files"
LIMIT = 3_000_000
TITLE = b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    settings = database.settings(api={"keys_file": tmp_path / "keys.json", "max_body_bytes": LIMIT})
    async with running_api(settings) as found:
        assert (await found.post("/v1/corpora", {"name": "docs"})).status_code == 201
        yield found


async def send(
    api: Api,
    content: bytes = b"Some text.",
    name: str = "page.txt",
    kind: str | None = None,
    *,
    path: str = FILES,
    key: str = ALICE,
    **more: Any,
) -> httpx.Response:
    file = (name, content, kind) if kind else (name, content)
    return await api.send("POST", path, key=key, files={"file": file}, **more)


def stored(owner: psycopg.Connection[Any]) -> tuple[Any, ...]:
    row = owner.execute(
        "SELECT d.external_id, v.content_type, v.charset, v.title, b.body FROM cixml.documents d "
        "JOIN cixml.document_versions v ON v.document_id = d.id JOIN cixml.page_bodies b ON b.sha256 = v.body_sha256"
    ).fetchone()
    assert row
    return row


@pytest.mark.parametrize(
    ("name", "kind", "content_type", "charset"),
    [
        ("a.txt", "text/plain; charset=ISO-8859-1", "text/plain", "iso-8859-1"),
        ("a.md", "application/octet-stream", "text/markdown", None),
        ("README.MARKDOWN", None, "text/markdown", None),
        ("a.bin", "text/x-markdown", "text/markdown", None),
        ("a.html", "text/html", "text/html", None),
        ("a.json", "application/json", "application/json", None),
        ("a.txt", "text/html; charset=a\xe4", "text/html", None),
        ("C:\\texts\\a.txt", None, "text/plain", None),
    ],
)
async def test_a_file_is_what_its_part_says_or_its_name(
    api: Api, owner: psycopg.Connection[Any], name: str, kind: str | None, content_type: str, charset: str | None
) -> None:
    answer = await send(api, b"Pr\xfcfung", name, kind)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    assert answer.json()["usage"]["bytes"] == 7
    assert stored(owner) == (name.rpartition("\\")[2], content_type, charset, None, b"Pr\xfcfung")


async def test_a_file_is_what_its_bytes_are_whatever_its_part_says(api: Api, owner: psycopg.Connection[Any]) -> None:
    assert (await send(api, b"%PDF-1.7 ...", "a.txt", "text/plain")).status_code == 202
    assert stored(owner)[1] == "application/pdf"


async def test_a_form_says_what_a_document_is_known_by(api: Api, owner: psycopg.Connection[Any]) -> None:
    form = {"external_id": "T-1", "title": "Prüfung", "metadata": json.dumps({"product": "x"})}
    job = (await send(api, data=form)).json()
    item = (await api.get(f"/v1/jobs/{job['id']}/items")).json()["content"][0]
    assert (item["external_id"], item["metadata"], item["url"]) == ("T-1", {"product": "x"}, None)
    assert stored(owner)[:4] == ("T-1", "text/plain", None, "Prüfung")


async def test_the_same_file_with_the_same_key_is_one_job(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await send(api, headers=headers)
    again = await send(api, headers=headers)  # another boundary, so other bytes on the wire
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    other = await send(api, b"Other text.", headers=headers)
    assert (other.status_code, other.json()["error_code"]) == (422, "cixml_file_push_203")


async def test_a_type_that_has_no_text_is_refused_with_those_that_have(api: Api) -> None:
    for name, kind in (("a.pdf", "application/pdf"), ("a.zip", "application/zip"), ("a.bin", None), ("a", "")):
        answer = await send(api, name=name, kind=kind)
        assert (answer.status_code, answer.json()["error_code"]) == (415, "cixml_file_push_101")
        assert (
            "text/plain, text/markdown, text/html, application/json, application/xml, application/pdf"
            in answer.json()["detail"]
        )
    json_body = await api.post(FILES, {"file": "x"})
    assert json_body.status_code == 415
    assert "multipart/form-data" in json_body.json()["detail"]


@pytest.mark.parametrize(
    ("arguments", "pointers"),
    [
        ({"files": {"file": ("a.txt", b" \n")}}, ["/file"]),
        ({"files": {"file": ("a.txt", b"")}}, ["/file"]),
        ({"files": {"page": ("a.txt", b"x")}}, ["/page"]),
        ({"files": {"external_id": ("a.txt", b"x")}}, ["/external_id"]),
        ({"files": {"a/b": ("a.txt", b"x")}}, ["/a~1b"]),
        ({"files": [("file", ("a.txt", b"x")), ("title", (None, b"a")), ("title", (None, b"b"))]}, ["/title"]),
        ({"files": {"title": (None, b"x")}}, ["/file"]),
        ({"files": {"file": (None, b"x")}}, ["/file"]),
        ({"data": {"titel": "x"}}, ["/titel"]),
        ({"data": {"external_id": ""}}, ["/external_id"]),
        ({"data": {"external_id": "a\0"}}, ["/external_id"]),
        ({"data": {"title": "x" * 301}}, ["/title"]),
        ({"data": {"metadata": "{"}}, ["/metadata"]),
        ({"data": {"metadata": "[]"}}, ["/metadata"]),
        ({"data": {"metadata": '{"a": {"b": 1}}'}}, ["/metadata/a"]),
        ({"data": {"metadata": '{"a": 1, "a": 2}'}}, ["/metadata/a"]),
        ({"data": {"metadata": '{"a": "\\u0000"}'}}, ["/metadata/a"]),
    ],
)
async def test_what_is_wrong_with_a_form_is_named(api: Api, arguments: dict[str, Any], pointers: list[str]) -> None:
    arguments = {"files": {"file": ("a.txt", b"x")}} | arguments
    answer = await api.send("POST", FILES, **arguments)
    assert answer.status_code == 422, answer.text
    assert [each["pointer"] for each in answer.json()["errors"]] == pointers


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", TITLE + b"x" * 140_000),
        ("multipart/form-data; boundary=b", FILE + b"half of the te"),
    ],
)
async def test_what_is_no_form_is_malformed(api: Api, kind: str, content: bytes) -> None:
    answer = await api.send("POST", FILES, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "cixml_file_push_100")


@pytest.mark.parametrize("charset", ["utf-7", "idna", "hex", "nonsense"])
async def test_a_forms_own_charset_breaks_nothing(api: Api, charset: str) -> None:
    content = TITLE + b"+2AA-\xff..x\r\n" + FILE + b"x\r\n--b--\r\n"
    kind = f"multipart/form-data; boundary=b; charset={charset}"
    answer = await api.send("POST", FILES, content=content, headers={"Content-Type": kind})
    assert answer.status_code in (202, 400, 422), answer.text


async def test_a_body_that_is_cut_short_makes_no_document(api: Api, owner: psycopg.Connection[Any]) -> None:
    content = FILE + b"half of the te"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await api.send("POST", FILES, content=content, headers=headers)
    assert answer.status_code == 400
    assert owner.execute("SELECT count(*) FROM cixml.documents").fetchone() == (0,)


async def test_a_file_above_the_limit_is_refused_also_when_it_does_not_say_its_size(api: Api) -> None:
    assert (await send(api, b"x" * LIMIT)).status_code == 413

    async def endless() -> AsyncIterator[bytes]:
        yield FILE
        for _ in range(100):
            yield b"x" * 100_000

    headers = authorization(ALICE) | {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await api.client.post(FILES, content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (413, "cixml_file_push_301")
    assert (await send(api, b"x" * (LIMIT - 1000))).status_code == 202  # larger than what is kept in memory


async def test_who_may_push_a_file_is_who_may_write(api: Api) -> None:
    granted = f"/v1/corpora/{caller_id_of(ALICE, PEPPER)}:docs"
    grants = f"/v1/corpora/docs/grants/{caller_id_of(BOB, PEPPER)}"
    assert (await send(api, path=f"{granted}/files", key="nobodys")).status_code == 401
    assert (await send(api, path=f"{granted}/files", key=BOB)).status_code == 404
    for role, status in (("reader", 403), ("writer", 202)):
        await api.send("PUT", grants, json={"role": role})
        assert (await send(api, path=f"{granted}/files", key=BOB)).status_code == status
