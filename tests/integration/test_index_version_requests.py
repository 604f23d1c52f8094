"""Index versions over the API: what a request leaves in the rows, who may ask, what is refused and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from cixml import main
from resources.membership import caller_id_of
from tests.api import ALICE, BOB, Api, index_document, running_api
from tests.database import PEPPER, Database
from tests.models import SECOND, migrate_models, write_models_file

ALICES, BOBS = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
VERSIONS = "/v1/corpora/docs/index-versions"
Rows = psycopg.Connection[Any]


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """Alice has a corpus with a page of two chunks; the second model takes 128 tokens."""
    path = write_models_file(tmp_path, max_tokens=128)
    migrate_models(database, path)
    settings = database.settings(api={"keys_file": tmp_path / "keys.json"}, embedding={"models_file": path})
    async with running_api(settings) as found:
        assert (await found.post("/v1/corpora", {"name": "docs"})).status_code == 201
        with psycopg.connect(database.pipeline_url) as pipeline:
            index_document(pipeline, corpus="docs", owner=ALICE, url="https://a.example/", texts=["one", "two"])
        yield found


@pytest.fixture
def rows(database: Database) -> Iterator[Rows]:
    with psycopg.connect(database.pipeline_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


async def ask(api: Api, **body: Any) -> dict[str, Any]:
    answer = await api.post(VERSIONS, body)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_request_is_a_row_that_the_pipeline_fills(api: Api, rows: Rows) -> None:
    answer = await api.post(VERSIONS, {"model": SECOND}, headers={"Idempotency-Key": "k"})
    made = answer.json()
    assert (answer.status_code, made["state"], made["model"], made["from"]) == (202, "building", SECOND, "chunks")
    assert answer.headers["location"] == f"{VERSIONS}/{made['id']}"
    stored = rows.execute("SELECT * FROM cixml.index_versions WHERE state = 'building'").fetchone()
    assert stored
    assert (stored["fill_from"], stored["activate"], stored["kind"]) == ("chunks", "manual", "exact")
    serving = rows.execute("SELECT chunking_fp FROM cixml.index_versions WHERE state = 'serving'").fetchone()
    assert serving
    assert stored["chunking_fp"] == serving["chunking_fp"]
    again = await api.post(VERSIONS, {"model": SECOND}, headers={"Idempotency-Key": "k"})
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (made["id"], "true")
    listed = (await api.get(VERSIONS)).json()["content"]
    assert [(each["state"], each["from"]) for each in listed] == [("serving", None), ("building", "chunks")]
    assert (await api.get(f"{VERSIONS}/{made['id']}")).json() == made


async def test_progress_and_the_time_left_are_told(api: Api, rows: Rows) -> None:
    made = await ask(api, model=SECOND)
    assert made["progress"] is None
    rows.execute(
        "UPDATE cixml.index_versions SET filling_since = now() - interval '10 seconds', documents_total = 10, "
        "documents_cut = 10, documents_done = 4, chunks_total = 100, chunks_done = 60, chunks_reused = 20 "
        "WHERE state = 'building'"
    )
    progress = (await api.get(f"{VERSIONS}/{made['id']}")).json()["progress"]
    assert progress["documents"] == {"done": 4, "total": 10}
    assert (progress["share"], 10 <= progress["eta_seconds"] <= 11) == (0.6, True)
    rows.execute(
        "UPDATE cixml.index_versions SET documents_cut = 7, chunks_total = 0, chunks_done = 0, chunks_reused = 0"
    )
    progress = (await api.get(f"{VERSIONS}/{made['id']}")).json()["progress"]
    assert (progress["cut"], progress["eta_seconds"]) == ({"done": 7, "total": 10}, None), "texts are cut"


async def test_a_new_cut_has_chunk_sets_of_its_own(api: Api, rows: Rows) -> None:
    sizes = {"max_tokens": 64, "overlap_tokens": 16}
    made = await ask(api, **{"from": "text"}, chunking=sizes, activate="auto")
    assert made["chunking"] == {"strategy": "recursive", **sizes}
    same = await ask(api, **{"from": "raw"})
    assert same["chunking"]["max_tokens"] == 256
    fps = rows.execute("SELECT count(DISTINCT chunking_fp) AS fps FROM cixml.index_versions").fetchone()
    assert fps == {"fps": 3}


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"model": "nono"}, "/model", "is enabled here"),
        ({"modell": SECOND}, "/modell", "no field"),
        ({"chunking": {"max_tokens": 64}}, "/chunking", "'from': 'text'"),
        ({"model": SECOND, "from": "text"}, "/chunking/max_tokens", "128 tokens"),
        ({"from": "nothing"}, "/from", ""),
        ({"activate": True}, "/activate", ""),
    ],
)
async def test_what_can_not_be_is_refused_and_named(api: Api, body: dict[str, Any], pointer: str, says: str) -> None:
    answer = await api.post(VERSIONS, body)
    assert answer.status_code == 422, answer.text
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert says in answer.json()["errors"][0]["detail"]


async def test_chunks_that_the_model_can_not_take_are_counted_and_the_remedy_is_named(api: Api, rows: Rows) -> None:
    assert (await ask(api, model=SECOND))["state"] == "building", "cut larger than its window, but all chunks fit"
    rows.execute("UPDATE cixml.chunks SET token_count = 200 WHERE ordinal = 1")
    answer = await api.post(VERSIONS, {"model": SECOND})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "cixml_index_version_create_211")
    assert "1 of 2 chunks" in answer.json()["detail"]
    assert "'from': 'text'" in answer.json()["detail"]


async def test_a_large_corpus_asks_for_a_relation_of_its_own(api: Api, rows: Rows) -> None:
    rows.execute(
        "INSERT INTO cixml.corpus_levels (corpus_id, chunking_fp, documents, chunks, tokens, digest) "
        "SELECT corpus_id, chunking_fp, 1, 1000000, 2, 0 FROM cixml.index_versions"
    )
    assert (await ask(api, model=SECOND))["kind"] == "hnsw"


async def test_a_ready_version_is_asked_to_serve_and_a_replaced_one_to_serve_again(api: Api, rows: Rows) -> None:
    made = await ask(api, model=SECOND)
    path = f"{VERSIONS}/{made['id']}"
    early = await api.send("POST", f"{path}/activate")
    assert (early.status_code, "not filled yet" in early.json()["detail"]) == (409, True)
    rows.execute("UPDATE cixml.index_versions SET state = 'ready' WHERE state = 'building'")
    asked = await api.send("POST", f"{path}/activate")
    assert (asked.status_code, asked.json()["activation_requested_at"] is not None) == (202, True)
    again = await api.send("POST", f"{path}/activate")
    assert again.json()["activation_requested_at"] == asked.json()["activation_requested_at"]
    [serving, _] = (await api.get(VERSIONS)).json()["content"]
    assert (await api.send("POST", f"{VERSIONS}/{serving['id']}/activate")).status_code == 200
    retired = "UPDATE cixml.index_versions SET state = 'retired', drop_after = now() + %s::interval WHERE id = %s"
    version = made["id"].removeprefix("ver_")
    rows.execute(retired, ["1 hour", version])
    assert (await api.send("POST", f"{path}/activate")).json()["state"] == "ready"
    rows.execute(retired, ["1 hour", version])
    rows.execute("UPDATE cixml.models SET is_enabled = false WHERE name = %s", [SECOND])
    refused = await api.send("POST", f"{path}/activate")
    assert (refused.status_code, "not enabled" in refused.json()["detail"]) == (409, True)
    rows.execute("UPDATE cixml.models SET is_enabled = true WHERE name = %s", [SECOND])
    rows.execute(retired, ["-1 hour", version])
    assert (await api.send("POST", f"{path}/activate")).status_code == 409


async def test_a_version_is_given_up_but_not_the_one_that_serves(api: Api, rows: Rows) -> None:
    made = await ask(api, model=SECOND)
    for _ in range(2):
        gone = await api.send("DELETE", f"{VERSIONS}/{made['id']}")
        assert (gone.status_code, gone.json()["state"]) == (202, "retired")
    [serving, _] = (await api.get(VERSIONS)).json()["content"]
    kept = await api.send("DELETE", f"{VERSIONS}/{serving['id']}")
    assert (kept.status_code, kept.json()["error_code"]) == (409, "cixml_index_version_delete_211")


async def test_so_many_versions_are_on_their_way_at_once(api: Api) -> None:
    for _ in range(5):
        await ask(api, model=SECOND)
    assert (await api.post(VERSIONS, {})).status_code == 409


async def test_a_failed_version_says_why(api: Api, rows: Rows) -> None:
    made = await ask(api, model=SECOND)
    rows.execute(
        "UPDATE cixml.index_versions SET state = 'retired', "
        """error = '{"code": "chunks_too_long", "detail": "3 of 9", "retryable": false}' WHERE state = 'building'"""
    )
    found = (await api.get(f"{VERSIONS}/{made['id']}")).json()
    assert (found["state"], found["error"]["code"]) == ("failed", "chunks_too_long")


async def test_readers_look_and_owners_ask(api: Api) -> None:
    made = await ask(api, model=SECOND)
    granted = f"/v1/corpora/{ALICES}:docs"
    paths = [("GET", VERSIONS), ("GET", f"{VERSIONS}/{made['id']}"), ("POST", f"{VERSIONS}/{made['id']}/activate"),
             ("DELETE", f"{VERSIONS}/{made['id']}"), ("POST", VERSIONS)]  # fmt: skip
    strangers = [await api.send(method, path.replace("/v1/corpora/docs", granted), key=BOB) for method, path in paths]
    assert {answer.status_code for answer in strangers} == {404}
    await api.send("PUT", f"/v1/corpora/docs/grants/{BOBS}", json={"role": "writer"})
    writers = [await api.send(method, path.replace("/v1/corpora/docs", granted), key=BOB) for method, path in paths]
    assert [answer.status_code for answer in writers] == [200, 200, 403, 403, 403]
    await api.send("PUT", f"/v1/corpora/docs/grants/{BOBS}", json={"role": "owner"})
    asked = await api.post(f"{granted}/index-versions", {"model": SECOND}, key=BOB)
    assert asked.status_code == 202
    other = await api.get(f"/v1/corpora/docs/index-versions/ver_{'0' * 32}")
    assert other.status_code == 404


async def test_a_worse_version_is_refused_with_the_report_unless_it_is_forced(api: Api, rows: Rows) -> None:
    made = await ask(api, model=SECOND)
    measures = {"model": SECOND, "ndcg_at_10": 0.4, "recall_at_10": 0.5, "p50_ms": 1.5, "p95_ms": 2.5}
    report = {
        "compared_at": "2026-11-24T10:00:00+00:00",
        "compared_with": made["id"],
        "queries": 3,
        "is_labelled": True,
        "overlap_at_10": 0.5,
        "candidate": measures,
        "serving": measures | {"ndcg_at_10": 0.6},
        "is_good": False,
        "troubles": ["nDCG@10 0.400 is below 0.600 by more than 0.02"],
    }
    worse = "UPDATE cixml.index_versions SET state = 'ready', comparison = %s WHERE state = 'building'"
    rows.execute(worse, [Jsonb(report)])
    path = f"{VERSIONS}/{made['id']}"
    assert (await api.get(path)).json()["comparison"]["candidate"] == measures
    refused = await api.send("POST", f"{path}/activate")
    assert (refused.status_code, "0.400 is below 0.600" in refused.json()["detail"]) == (409, True)
    forced = await api.post(f"{path}/activate", {"force": True})
    assert (forced.status_code, forced.json()["activation_requested_at"] is not None) == (202, True)
    labels = {"labels": [{"query": "q", "relevant": ["https://a.example/"]}]}
    assert (await api.send("PUT", "/v1/corpora/docs/labels", json=labels)).json()["content"] == labels["labels"]
    assert (await api.get(path)).json()["comparison"] is None, "it was found by other labels"
    assert (await api.post(f"{path}/activate", {})).status_code == 202


async def test_labels_are_replaced_read_and_the_owners(api: Api, rows: Rows) -> None:
    path = "/v1/corpora/docs/labels"
    assert (await api.get(path)).json() == {"content": []}
    for query in ("first", "second"):
        body = {"labels": [{"query": query, "relevant": ["T-1", "https://a.example/"]}]}
        assert (await api.send("PUT", path, json=body)).status_code == 200
    assert (await api.get(path)).json()["content"] == [{"query": "second", "relevant": ["T-1", "https://a.example/"]}]
    wrong = await api.send("PUT", path, json={"labels": [{"query": "", "relevant": []}], "x": 1})
    assert {each["pointer"] for each in wrong.json()["errors"]} == {"/labels/0/query", "/labels/0/relevant", "/x"}
    granted = f"/v1/corpora/{ALICES}:docs/labels"
    assert (await api.get(granted, key=BOB)).status_code == 404
    await api.send("PUT", f"/v1/corpora/docs/grants/{BOBS}", json={"role": "writer"})
    assert (await api.get(granted, key=BOB)).status_code == 200
    assert (await api.send("PUT", granted, json={"labels": []}, key=BOB)).status_code == 403
    assert (await api.send("PUT", path, json={"labels": []})).status_code == 200
    assert rows.execute("SELECT FROM cixml.labels").fetchone() is None


async def test_a_model_is_not_disabled_while_a_version_by_it_is_to_serve(
    api: Api, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIXML_EMBEDDING__MODELS_FILE", str(tmp_path / "models.toml"))
    monkeypatch.setenv("CIXML_PIPELINE__DATABASE_URL", database.pipeline_url)
    monkeypatch.setenv("CIXML_HOME", str(tmp_path / "home"))
    version = await ask(api, model=SECOND)
    refused = await asyncio.to_thread(CliRunner().invoke, main.app, ["models", "disable", SECOND])
    assert f"1 index version by {SECOND} could not be filled" in str(refused.exception)
    assert (await api.send("DELETE", f"{VERSIONS}/{version['id']}")).status_code == 202
    done = await asyncio.to_thread(CliRunner().invoke, main.app, ["models", "disable", SECOND])
    assert done.exit_code == 0, done.output
