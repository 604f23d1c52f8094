"""The REST client: what it sends, and how refusals read."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from cixml.client import ApiError, ApiUnavailableError, Client


def _client(handler: Callable[[httpx.Request], httpx.Response]) -> Client:
    return Client("http://api", "cixk_x", transport=httpx.MockTransport(handler))


def test_a_job_is_submitted_with_the_key() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"id": "job_1"})

    with _client(handler) as client:
        assert client.submit("docs", ["http://a/"])["id"] == "job_1"
    assert seen[0].headers["Authorization"] == "Bearer cixk_x"
    assert json.loads(seen[0].content) == {"corpus": "docs", "urls": ["http://a/"]}


def test_items_come_from_all_pages_of_the_list() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        is_second = request.url.params.get("cursor") == "c2"
        content, following = ([{"url": "b"}], None) if is_second else ([{"url": "a"}], "c2")
        return httpx.Response(200, json={"content": content, "_metadata": {"next": following}})

    with _client(handler) as client:
        assert [item["url"] for item in client.items("job_1", status="failed")] == ["a", "b"]


def test_a_refusal_names_the_field() -> None:
    problem = {"title": "Invalid", "detail": "not valid", "errors": [{"pointer": "/urls/0", "detail": "scheme"}]}
    with (
        _client(lambda _: httpx.Response(422, json=problem)) as client,
        pytest.raises(ApiError, match="422 not valid; /urls/0: scheme"),
    ):
        client.submit("docs", ["ftp://a"])


def test_no_answer_says_how_to_start_the_api() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with _client(handler) as client, pytest.raises(ApiUnavailableError, match="cixml up"):
        client.job("job_1")
