"""A retry on the whole product: what was fetched is not fetched again."""

from __future__ import annotations

import httpx
import pytest

from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import Page, WebServer
from tests.stack import Stack, ended

REFUSAL = "context_length_exceeded"


@pytest.mark.slow
def test_a_retry_from_embedding_fetches_nothing(stack: Stack, embedding_server: EmbeddingServer) -> None:
    key = stack.new_key()
    pages = {"/a": Page("<p>A page about the habits of the hazel grouse.</p>")}
    with WebServer(pages) as site, stack.client(key) as client:
        embedding_server.fail_next(1, status=400, code=REFUSAL)
        parent = ended(client, client.submit("retried", [f"{site.url}/a"])["id"])
        assert (parent["status"], parent["failed_stage"]) == ("failed", "embedding")
        fetched = list(site.paths)
        assert "/a" in fetched
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"{stack.url}/v1/jobs/{parent['id']}/retry", headers=headers)
        assert answer.status_code == 202, answer.text
        child = ended(client, answer.json()["id"])
        assert (child["status"], child["parent_job_id"]) == ("succeeded", parent["id"])
        assert list(site.paths) == fetched
        assert client.search("retried", "hazel grouse")["results"][0]["url"] == f"{site.url}/a"
