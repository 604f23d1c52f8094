"""What the API serves, read from the app itself: a test that goes over it can't forget a new route."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import psycopg
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tests.api import Api, index_document
from tests.database import Database

METHODS = ("get", "put", "post", "delete", "patch")
MULTIPART, JSON = "multipart/form-data", "application/json"
UNDOCUMENTED = {"/openapi.json", "/docs", "/docs/oauth2-redirect"}
"""The document itself and its page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter in the path, the query or a header."""

    name: str
    where: str
    schema: dict[str, Any]
    is_required: bool

    @property
    def is_needed_query(self) -> bool:
        return self.where == "query" and self.is_required


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a route; `example` is a body that it takes, None where it takes none."""

    name: str
    method: str
    path: str
    parameters: list[Parameter]
    media_type: str | None
    example: Any
    file_fields: list[str]
    responses: dict[str, dict[str, Any]] = field(repr=False)
    needs_key: bool

    @property
    def ids(self) -> list[str]:
        """Return the names in the path's braces."""
        return re.findall(r"{([a-z_]+)}", self.path)

    @property
    def needed(self) -> dict[str, str]:
        """Return the query parameters that it does not go without, with examples."""
        return {each.name: each.schema["examples"][0] for each in self.parameters if each.is_needed_query}

    def at(self, **ids: str) -> str:
        """Return the path with these ids."""
        return self.path.format(**ids)

    def body(self) -> dict[str, Any]:
        """Return the arguments of an HTTP client that send the example."""
        if self.media_type is None:
            return {}
        if self.media_type == MULTIPART:
            files = {name: ("page.md", self.example[name].encode(), "text/markdown") for name in self.file_fields}
            return {"files": files, "data": {name: self.example[name] for name in self.example if name not in files}}
        return {"content": json.dumps(self.example).encode(), "headers": {"Content-Type": JSON}}


async def make_one_of_each(api: Api, database: Database, *, key: str, corpus: str) -> dict[str, str]:
    """Let a caller have one of everything that has an id; return the ids under the names that paths give them.

    A name that is not among them fails the tests that go over all paths: make one here.
    """
    url = "https://docs.example.com/start"
    job = await api.post("/v1/jobs", {"corpus": corpus, "urls": [url]}, key=key)
    assert job.status_code == 202, job.text
    with psycopg.connect(database.pipeline_url) as rows:
        document = index_document(rows, corpus=corpus, owner=key, url=url, texts=["one", "two"])
        chunk = rows.execute(
            "SELECT k.chunk_id FROM cixml.chunks k JOIN cixml.chunk_sets s ON s.id = k.chunk_set_id "
            "JOIN cixml.document_versions v ON v.id = s.document_version_id WHERE v.document_id = %s",
            [document],
        ).fetchone()
        assert chunk
    items = await api.get(f"/v1/jobs/{job.json()['id']}/items", key=key)
    await api.send("PUT", f"/v1/corpora/{corpus}/grants/c_friend", key=key, json={"role": "reader"})
    nothing = {"filter": {"external_ids": ["none"]}}
    receipt = await api.post(f"/v1/corpora/{corpus}/documents/delete", nothing, key=key)
    another = {"from": "text", "chunking": {"max_tokens": 64, "overlap_tokens": 8}}
    version = await api.post(f"/v1/corpora/{corpus}/index-versions", another, key=key)
    assert version.status_code == 202, version.text
    return {
        "name": corpus,
        "version_id": version.json()["id"],
        "job_id": job.json()["id"],
        "item_id": items.json()["content"][0]["id"],
        "document_id": f"doc_{document.hex}",
        "chunk_id": f"chk_{chunk[0].hex}",
        "caller_id": "c_friend",
        "receipt_id": receipt.json()["id"],
    }


def operations(app: FastAPI) -> list[Operation]:
    """Return every operation, and check that the document has every route."""
    document = app.openapi()
    found = [
        _operation(document, path, method, route)
        for path, methods in document["paths"].items()
        for method, route in methods.items()
        if method in METHODS
    ]
    documented = {(each.path, each.method) for each in found}
    routed = {
        (context.path, method)
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if context.path not in UNDOCUMENTED and method != "HEAD"
    }
    assert documented == routed
    return found


def _operation(document: dict[str, Any], path: str, method: str, route: dict[str, Any]) -> Operation:
    content = route.get("requestBody", {}).get("content", {})
    media_type = next(iter(content), None)
    schema = _resolve(document, content[media_type]["schema"]) if media_type else {}
    fields = schema.get("properties", {})
    return Operation(
        name=route["operationId"],
        method=method.upper(),
        path=path,
        parameters=[
            Parameter(
                name=each["name"], where=each["in"], schema=each["schema"], is_required=each.get("required", False)
            )
            for each in route.get("parameters", [])
        ],
        media_type=media_type,
        example=content[media_type].get("example") or schema["examples"][0] if media_type else None,
        file_fields=[name for name, each in fields.items() if each.get("format") == "binary"],
        responses=route["responses"],
        needs_key=bool(route.get("security")),
    )


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found
