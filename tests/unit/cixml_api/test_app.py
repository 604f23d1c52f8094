"""Rules of every route, without a database: ids, traces, limits, errors, and the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from cixml_api.app import Embedding, create_app, new_index
from resources.settings import Settings
from tests.api import ALICE, StillBreaker, WordEmbedder, authorization, write_keys
from tests.database import PEPPER, default_model

JOB = {"corpus": "docs", "urls": ["https://example.com/"]}


async def nothing() -> None:
    return None


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """An API whose pool is never opened: every use of Postgres is refused."""
    write_keys(tmp_path / "keys.json", ALICE)
    api = {
        "database_url": "postgresql://user:password@127.0.0.1:1/none",
        "key_pepper": PEPPER,
        "keys_file": tmp_path / "keys.json",
        "max_body_bytes": 2000,
        "max_urls_per_job": 3,
    }
    embedding = Embedding(
        embedders=(WordEmbedder(),), breakers=(StillBreaker(),), cache=None, ping_redis=nothing, close=nothing
    )
    return create_app(Settings.load(api=api), embedding=embedding)


@pytest_asyncio.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as found:
        yield found


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a whole problem, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {
        "type", "title", "status", "detail", "instance", "error_code", "request_id", "trace_id", "retryable", "errors",
    }  # fmt: skip
    assert (body["status"], body["error_code"]) == (status, code)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", body["trace_id"])
    return body


async def test_a_request_id_is_taken_over_and_a_bad_one_replaced(client: httpx.AsyncClient) -> None:
    given = await client.get("/livez", headers={"X-Request-Id": "A-b_c.9"})
    assert given.headers["x-request-id"] == "A-b_c.9"
    for bad in ("", "x" * 65, "a b", "a\xe9"):
        replaced = await client.get("/livez", headers=[(b"X-Request-Id", bad.encode("latin-1"))])
        assert re.fullmatch("[0-9a-f]{32}", replaced.headers["x-request-id"])


async def test_the_trace_of_the_caller_is_in_the_problem(client: httpx.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await client.get("/v1/jobs", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.json()["trace_id"] == trace
    assert answer.headers["traceparent"].split("-")[1] == trace
    broken = await client.get("/v1/jobs", headers={"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})
    assert broken.json()["trace_id"] != "0" * 32


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {ALICE}"}, {"X-API-Key": "wrong"}]
)
async def test_without_a_known_key_the_answer_is_401_whatever_the_body(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for content in (b"{", b'{"corpus": 1}'):
        body = refused(await client.post("/v1/jobs", content=content, headers=headers), 401, "cixml_job_create_201")
        assert "Bearer KEY" in body["detail"]


@pytest.mark.parametrize("headers", [authorization(ALICE), {"X-API-Key": ALICE}])
async def test_both_headers_carry_a_key(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    body = refused(await client.post("/v1/jobs", json={}, headers=headers), 422, "cixml_job_create_105")
    assert body["errors"], "behind the key: what the body lacks"


async def test_a_body_is_refused_by_type_form_and_size(client: httpx.AsyncClient) -> None:
    json_type = authorization(ALICE) | {"Content-Type": "application/json"}
    text_type = authorization(ALICE) | {"Content-Type": "text/plain"}
    refused(await client.post("/v1/jobs", content=b"{}", headers=text_type), 415, "cixml_job_create_101")
    refused(await client.post("/v1/jobs", content=b"{", headers=json_type), 400, "cixml_job_create_100")
    declared = await client.post("/v1/jobs", content=b" " * 2001, headers=json_type)
    assert "2000 bytes" in refused(declared, 413, "cixml_request_read_301")["detail"]


async def test_a_body_that_does_not_say_its_size_is_cut_off(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 500

    headers = authorization(ALICE) | {"Content-Type": "application/json"}
    refused(await client.post("/v1/jobs", content=endless(), headers=headers), 413, "cixml_job_create_301")
    assert sent == 5, "2,000 bytes are allowed: the fifth 500 are the last that are read"


async def test_too_many_urls_are_refused_with_the_limit(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/jobs", json=JOB | {"urls": ["https://a.example/"] * 4}, headers=authorization(ALICE)
    )
    body = refused(answer, 422, "cixml_job_create_105")
    assert body["errors"][0]["pointer"] == "/urls"
    assert "at most 3" in body["errors"][0]["detail"]


async def test_without_postgres_every_route_says_503_and_when_to_come_back(client: httpx.AsyncClient) -> None:
    headers = authorization(ALICE)
    for answer in (
        await client.post("/v1/jobs", json=JOB, headers=headers),
        await client.get("/v1/jobs", headers=headers),
        await client.get("/v1/jobs/job_" + "0" * 32, headers=headers),
        await client.get("/v1/corpora", headers=headers),
        await client.post("/v1/corpora/docs/search", json={"query": "x"}, headers=headers),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["retryable"] is True
        assert "password" not in answer.text
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).json()["status"] == "down"
    assert (await client.get("/livez")).status_code == 200


async def test_unknown_paths_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    refused(await client.get("/v2/jobs"), 404, "cixml_request_read_002")
    answer = await client.delete("/v1/jobs")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bug_is_500_and_tells_nothing(app: FastAPI, client: httpx.AsyncClient) -> None:
    @app.get("/bug", operation_id="bug_read")
    async def bug() -> None:
        raise RuntimeError("a secret detail")

    body = refused(await client.get("/bug"), 500, "cixml_bug_read_599")
    assert "secret" not in str(body)


async def test_the_document_describes_every_route_with_examples_and_errors(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    routes = {(method, path): route for path, methods in document["paths"].items() for method, route in methods.items()}
    assert {path for _, path in routes} >= {"/v1/jobs", "/v1/corpora/{name}/search", "/readyz"}
    for (method, path), route in routes.items():
        assert route["summary"], path
        if not path.startswith(("/v1", "/jobs")):
            continue
        assert {"401", "503"} <= set(route["responses"])
        assert route["security"] == [{"bearer": []}, {"key": []}]
        for status, answer in route["responses"].items():
            if status[0] in "45":
                assert answer["content"]["application/problem+json"]["example"]["status"] == int(status)
        if method in ("post", "patch", "put") and not path.endswith(
            ("/activate", "/cancel", "/files", "/refresh", "/{item_id}/retry")
        ):
            assert route["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    _check_references(document)
    for name in ("JobRequest", "SearchRequest", "Job", "Item", "Corpus", "SearchAnswer"):
        assert document["components"]["schemas"][name]["examples"], name


def _check_references(document: dict[str, Any]) -> None:
    names = set(re.findall(r"#/components/schemas/([A-Za-z_]+)", str(document)))
    assert names <= set(document["components"]["schemas"])
    assert "#/$defs" not in str(document)


async def test_the_examples_are_of_the_shape_they_show() -> None:
    from cixml_api import schemas

    for model in (
        schemas.JobRequest,
        schemas.RetryRequest,
        schemas.SearchRequest,
        schemas.SearchAnswer,
        schemas.Job,
        schemas.Item,
        schemas.AuditEntry,
        schemas.Quota,
        schemas.UsageReport,
        schemas.Corpus,
        schemas.CorpusRequest,
        schemas.CorpusPatch,
        schemas.GrantRequest,
        schemas.Grant,
        schemas.DocumentDetail,
        schemas.Chunk,
        schemas.Source,
    ):
        examples = model.model_json_schema()["examples"]
        assert examples, model
        for example in examples:
            assert model.model_validate(example).model_dump(mode="json", by_alias=True, exclude_unset=True) == example


def test_new_corpora_are_cut_as_the_settings_say_and_else_as_the_model_does() -> None:
    model = default_model()
    plain = new_index(Settings.load(), model)
    assert (plain.chunking.max_tokens, plain.chunking.overlap_tokens) == (256, 32)
    given = new_index(Settings.load(chunking={"max_tokens": 128, "overlap_tokens": 0}), model)
    assert (given.chunking.max_tokens, given.chunking.overlap_tokens) == (128, 0)
    assert given.chunking_fp != plain.chunking_fp
