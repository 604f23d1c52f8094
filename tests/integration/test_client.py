"""The Python client and the console against the real API over HTTP, on rows that the pipeline's own functions wrote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from click.testing import Result
from typer.testing import CliRunner

from cixml import ApiError, AsyncClient, Client, PushedDocument, main
from resources.membership import caller_id_of
from resources.postgres.database import Database as PipelineDatabase
from tests.api import ALICE, BOB, Api, index_document, running_api, served
from tests.database import PEPPER, Database
from tests.integration.test_job_actions import failed_job

URL = "https://docs.example.com/a"


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


@pytest_asyncio.fixture
async def address(api: Api) -> AsyncIterator[str]:
    async with served(api) as found:
        yield found


async def test_every_kind_of_answer_is_read_as_its_type(address: str, owner: psycopg.Connection[Any]) -> None:
    bob = caller_id_of(BOB, PEPPER)
    async with AsyncClient(address, ALICE) as client, AsyncClient(address, BOB) as other:
        made = await client.corpora.create("docs", title="Docs", max_tokens=64)
        assert (made.title, made.counts.documents, made.active_index and made.active_index.kind) == ("Docs", 0, "exact")
        changed = await client.corpora.patch("docs", title=None, if_match=made.etag)
        assert changed.title is None
        with pytest.raises(ApiError, match="412") as refused:
            await client.corpora.patch("docs", title="X", if_match=made.etag)
        assert refused.value.error_code == "cixml_corpus_update_212"

        index_document(owner, corpus="docs", owner=ALICE, url=URL, texts=["the hazel grouse", "an owl"])
        (found,) = [document async for document in client.documents.list("docs")]
        detail = await client.documents.get("docs", found.id)
        assert (detail.url, len(detail.versions), detail.metadata) == (URL, 1, {"n": 1})
        assert [chunk.text async for chunk in client.documents.chunks("docs", found.id)] == [
            "the hazel grouse",
            "an owl",
        ]
        assert (await client.documents.content("docs", found.id, layer="raw")).body == b"x"
        assert [source.url async for source in client.corpora.sources("docs")] == [URL]
        answer = await client.search("docs", "hazel grouse", top_k=1)
        lineage = await client.lineage(answer.results[0].chunk_id)
        assert (lineage.document_id, lineage.is_live) == (answer.results[0].document_id, True)
        several = await client.search_corpora(["docs"], "grouse", mode="hybrid", group_size=1, highlights=True)
        assert several.results[0].highlights
        first = await client.search_corpora(["docs"], "hazel grouse", top_k=1)
        then = await client.search_corpora(["docs"], "hazel grouse", top_k=1, cursor=first.next)
        assert ([hit.rank for hit in then.results], then.next) == ([2], None)
        assert [hit.text for hit in answer.results] == ["the hazel grouse"]

        shared = f"{made.owner}:docs"
        with pytest.raises(ApiError, match="404"):
            await other.search(shared, "owl")
        assert (await client.corpora.grant("docs", bob, "reader")).role == "reader"
        assert (await other.search(shared, "owl", top_k=1)).results[0].corpus == shared
        assert [corpus.address async for corpus in other.corpora.list()] == [shared]
        assert [grant.caller_id for grant in await client.corpora.grants("docs")] == [bob]
        await client.corpora.revoke("docs", bob)
        assert await client.corpora.grants("docs") == []

        version = await client.index_versions.create("docs", source="text", max_tokens=64)
        assert (version.state, version.fill_from, version.is_settled) == ("building", "text", False)
        with pytest.raises(TimeoutError):
            await client.index_versions.wait("docs", version.id, timeout_seconds=0)
        with pytest.raises(ApiError, match="409"):
            await client.index_versions.activate("docs", version.id)
        assert (await client.index_versions.delete("docs", version.id)).state == "retired"
        assert (await client.index_versions.wait("docs", version.id)).is_settled
        assert len(await client.index_versions.list("docs")) == 2

        pushed = await client.documents.put("docs", PushedDocument(external_id="n1", text="A note."))
        uploaded = await client.documents.upload("docs", b"# A file", name="f.md", metadata={"k": 1})
        refreshed = await client.documents.refresh("docs", found.id)
        jobs = [job.id async for job in client.jobs.list(corpus="docs")]
        assert jobs == [refreshed.id, uploaded.id, pushed.id]
        assert (await client.jobs.cancel(pushed.id)).status == "cancelled"
        assert (await client.jobs.wait(pushed.id)).has_ended
        retried = await client.jobs.retry(pushed.id, only=["cancelled"], idempotency_key="again")
        again = await client.jobs.retry(pushed.id, only=["cancelled"], idempotency_key="again")
        assert (retried.parent_job_id, again.id) == (pushed.id, retried.id)
        with pytest.raises(TimeoutError):
            await client.jobs.wait(retried.id, timeout_seconds=0)

        assert await client.documents.count_matching("docs", url_prefix="https://docs.") == 1
        assert (await client.documents.delete_matching("docs", url_prefix="https://docs.")).kind == "documents"
        with pytest.raises(ApiError, match="404"):
            await client.documents.delete("docs", found.id)
        receipt = await client.corpora.delete("docs", if_match=(await client.corpora.get("docs")).etag)
        assert (await client.receipts.get(receipt.id)).status in ("pending", "running", "done")

        await client.usage(group_by=["corpus", "day"])
        assert (await client.quota()).corpora.used == 0
        assert (await client.health()).postgres.status == "ok"


async def test_dead_letters_and_events_of_a_job_that_ended(
    api: Api, address: str, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    parent, (first, second, _) = await failed_job(api, owner, pipeline)
    async with AsyncClient(address, ALICE) as client:
        dead = [item async for item in client.items.failed(corpus="docs")]
        assert [item.id for item in dead] == [second["id"], first["id"]]
        assert [item async for item in client.items.failed(stage=["embedding"], code=["store_failed"])] == dead[:1]
        assert (await client.items.get(dead[0].id)).error == dead[0].error
        events = [event async for event in client.jobs.events(parent["id"])]
        assert [event.name for event in events] == ["item", "item", "item", "end"]
        failed = [item.id async for item in client.jobs.items(parent["id"], status=["failed"])]
        assert failed == [first["id"], second["id"]]
        child = await client.items.retry(second["id"])
        assert (child.parent_job_id, child.items.total) == (parent["id"], 1)
    with Client(address, ALICE) as blocking:
        found = await asyncio.to_thread(lambda: list(blocking.items.failed(most=1)))
        assert found == dead[1:], "what was retried is no dead letter any more"


async def test_the_console_shows_and_changes_what_the_api_holds(
    address: str, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CIXML_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CIXML_URL", address)
    monkeypatch.setenv("CIXML_API_KEY", ALICE)

    async def cixml(*words: str, code: int = 0, text: str | None = None) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main.app, list(words), text)
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    async def as_json(*words: str) -> Any:
        return json.loads((await cixml(*words, "--json")).stdout)

    assert (await as_json("corpora", "create", "docs", "--title", "Docs"))["title"] == "Docs"
    index_document(owner, corpus="docs", owner=ALICE, url=URL, texts=["the hazel grouse", "an owl"])
    assert "Docs" in (await cixml("corpora")).stdout
    assert "exact" in (await cixml("corpora", "show", "docs")).stdout
    assert URL in (await cixml("search", "docs", "grouse")).stdout
    shown = await cixml("search", "docs", "grouse", "--highlight", "--explain", "--neighbours", "1", "--top-k", "1")
    assert all(told in shown.stdout for told in ("the hazel grouse", "an owl", "place by vectors 1", "--cursor")), shown
    first = await as_json("search", "docs", "grouse", "--top-k", "1")
    more = await as_json("search", "docs", "grouse", "--top-k", "1", "--cursor", first["next"])
    assert [each["text"] for each in more["results"]] == ["an owl"]
    assert await as_json("search", "docs", "grouse", "--threshold", "1") | {"results": []} != first
    hit = first["results"][0]["chunk_id"]
    assert (await as_json("lineage", hit))["chunk_id"] == hit
    assert URL in (await cixml("lineage", hit)).stdout
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"what is brown": [URL]}))
    assert await as_json("labels", "docs", "--file", str(labels)) == [{"query": "what is brown", "relevant": [URL]}]
    assert "what is brown" in (await cixml("labels", "docs")).stdout
    asked = await as_json("reembed", "docs", "--no-wait")
    assert (asked["state"], asked["from"]) == ("building", "chunks")
    assert asked["id"] in (await cixml("indexes", "docs")).stdout
    cut = await as_json("reembed", "--all", "--from", "text", "--max-tokens", "64", "--activate", "--no-wait")
    assert [(each["corpus"], each["chunking"]["max_tokens"], each["activate"]) for each in cut] == [
        ("docs", 64, "auto")
    ]
    assert await as_json("reembed", "--all", "--no-wait", "--model", "all-MiniLM-L6-v2") == [], "it has it"
    await cixml("activate", "docs", asked["id"], code=1)
    owner.execute("UPDATE cixml.index_versions SET state = 'ready' WHERE state = 'building'")
    assert (await as_json("activate", "docs", asked["id"], "--no-wait"))["activation_requested_at"]
    assert (await as_json("drop-index", "docs", asked["id"]))["state"] == "retired"
    (document,) = await as_json("documents", "list", "docs")
    assert URL in (await cixml("documents", "list", "docs")).stdout
    assert document["id"] in (await cixml("documents", "show", "docs", document["id"])).stdout
    assert "an owl" in (await cixml("documents", "show", "docs", document["id"], "--chunks")).stdout
    bob = caller_id_of(BOB, PEPPER)
    assert bob in (await cixml("corpora", "grant", "docs", bob, "reader")).stdout
    assert await as_json("corpora", "grant", "docs", bob, "none") == []

    note = tmp_path / "note.md"
    note.write_text("# A note")
    job = await as_json("submit", "docs", URL, "--file", str(note), "--detach")
    assert job["items"]["total"] == 2
    one = ["submit", "docs", "--file", "-", "--id", "n", "--detach"]
    assert "cixml watch job_" in (await cixml(*one, text="A text.")).stdout
    assert job["id"] in (await cixml("jobs", "--status", "queued", "--corpus", "docs")).stdout
    assert "2 queued" in (await cixml("jobs", "show", job["id"])).stdout
    assert {item["status"] for item in await as_json("items", job["id"])} == {"queued"}
    assert (await as_json("cancel", job["id"]))["status"] == "cancelled"
    watched = await cixml("watch", job["id"], "--json", code=1)
    assert [json.loads(line)["event"] for line in watched.stdout.splitlines()][-1] == "end"
    assert "cancelled" in (await cixml("watch", job["id"], code=1)).stdout
    assert (await as_json("retry", job["id"], "--detach"))["parent_job_id"] == job["id"]
    assert await as_json("items", "--failed") == []

    assert "1 documents" in (await cixml("documents", "delete", "docs", "--url-prefix", URL, "--dry-run")).stdout
    receipt = await as_json("documents", "delete", "docs", document["id"])
    assert receipt["id"] in (await cixml("receipt", receipt["id"])).stdout
    assert "tokens per day" in (await cixml("quota")).stdout
    assert "operation" in (await cixml("usage", "--by", "operation,day")).stdout
    assert (await as_json("corpora", "delete", "docs", "--yes"))["kind"] == "corpus"


@pytest.mark.parametrize(
    "words",
    [
        ["submit", "docs"],
        ["submit", "docs", "--file", "-"],
        ["submit", "docs", "--file", "/nowhere/x"],
        ["items", "--status", "queued"],
        ["documents", "delete", "docs"],
        ["corpora", "grant", "docs", "c", "king"],
        ["reembed"],
        ["reembed", "docs", "--all"],
        ["labels", "docs", "--file", "/nowhere/x"],
    ],
)
def test_a_wrong_use_is_exit_code_2_before_anything_is_asked(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CIXML_HOME", str(tmp_path))
    assert CliRunner().invoke(main.app, words).exit_code == 2
