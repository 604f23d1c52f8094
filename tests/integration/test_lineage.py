"""The passport of a hit tells all that made it, to who may see the corpus, and leads back to the very text."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest_asyncio

from resources.membership import caller_id_of
from resources.postgres.database import Database as PipelineDatabase
from tests.api import ALICE, BOB, Api, running_api
from tests.builders import make_job, make_worker
from tests.database import PEPPER, Database
from tests.models import SECOND, migrate_models, write_models_file
from tests.reindexing import Runs, ask
from tests.rows import index

Owner = psycopg.Connection[Any]
ALICES = caller_id_of(ALICE, PEPPER)
URL = "https://example.com/a"


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


async def test_a_hit_tells_where_it_comes_from(api: Api, owner: Owner, pipeline: PipelineDatabase) -> None:
    make_worker(owner)
    job = make_job(owner, URL, caller=ALICES)
    index(pipeline, b"<p>body</p>", "one piece. ", "the other, of grouse")
    found = (await api.post("/v1/corpora/docs/search", {"query": "grouse", "mode": "keyword"})).json()["results"][0]

    answer = await api.get(f"/v1/hits/{found['chunk_id']}/lineage")

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["corpus"], told["url"], told["is_live"], told["live_to"]) == ("docs", URL, True, None)
    page, chunk, vector = told["page"], told["chunk"], told["vector"]
    assert (page["sha256"], page["bytes"]) == (hashlib.sha256(b"<p>body</p>").hexdigest(), 11)
    assert (page["http_status"], page["etag"], page["snapshot"]) == (200, '"1"', found["snapshot"])
    assert (page["robots"]["allowed"], page["robots"]["rule"]) == (True, "no robots.txt")
    assert page["job_id"] == f"job_{job.job_id.hex}"
    assert page["item_id"] == f"item_{job.item_ids[0].hex}"
    runs = owner.execute("SELECT run_id FROM cixml.batches").fetchall()
    assert [(page["run_id"],)] == [(chunk["run_id"],)] == [(vector["run_id"],)] == runs
    assert chunk["chunked_at"] <= vector["embedded_at"]
    assert (vector["model"], vector["dimension"], vector["state"]) == ("all-MiniLM-L6-v2", 384, "serving")
    assert told["partition"] == (owner.execute("SELECT partition_key FROM cixml.corpora").fetchone() or [None])[0]
    layer = owner.execute("SELECT text FROM cixml.document_versions").fetchone()
    assert layer
    piece = layer[0][chunk["offsets"]["start"] : chunk["offsets"]["end"]]
    assert piece == found["text"] == "the other, of grouse"
    assert hashlib.sha256(piece.encode()).hexdigest() == chunk["text_sha256"] == found["text_sha256"]
    assert hashlib.sha256(layer[0].encode()).hexdigest() == told["text"]["text_sha256"]


async def test_a_hit_of_before_is_told_as_it_was_and_a_page_that_is_deleted_is_missing(
    api: Api, owner: Owner, pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    for body in (b"1", b"2"):
        make_job(owner, URL, caller=ALICES)
        index(pipeline, body, "kept", f"changed {body.decode()}")
    ids = dict(owner.execute("SELECT text, chunk_id FROM cixml.chunks").fetchall())
    kept, old = [(await api.get(f"/v1/hits/chk_{ids[text].hex}/lineage")).json() for text in ("kept", "changed 1")]
    assert (kept["is_live"], kept["page"]["sha256"]) == (True, hashlib.sha256(b"2").hexdigest())
    assert (old["is_live"], old["page"]["sha256"]) == (False, hashlib.sha256(b"1").hexdigest())
    assert old["live_to"] is not None
    owner.execute("UPDATE cixml.documents SET deleted_at = now()")
    for missing in (ids["kept"], uuid4()):
        assert (await api.get(f"/v1/hits/chk_{missing.hex}/lineage")).status_code == 404


async def test_a_reader_is_told_all_but_another_s_job(api: Api, owner: Owner, pipeline: PipelineDatabase) -> None:
    make_worker(owner)
    make_job(owner, URL, caller=ALICES)
    index(pipeline, b"1", "grouse")
    (chunk,) = owner.execute("SELECT chunk_id FROM cixml.chunks").fetchone() or [None]
    path = f"/v1/hits/chk_{chunk.hex}/lineage"
    assert (await api.get(path, key=BOB)).status_code == 404
    friend = caller_id_of(BOB, PEPPER)
    await api.send("PUT", f"/v1/corpora/docs/grants/{friend}", json={"role": "reader"})
    told = (await api.get(path, key=BOB)).json()
    assert (told["corpus"], told["page"]["job_id"], told["page"]["item_id"]) == (f"{ALICES}:docs", None, None)
    assert told["page"]["run_id"] is not None


async def test_a_hit_names_the_run_that_embedded_it_again(
    api: Api, database: Database, owner: Owner, pipeline: PipelineDatabase, tmp_path: Path
) -> None:
    models = write_models_file(tmp_path)
    migrate_models(database, models)
    runs = Runs(database, models)
    make_worker(owner)
    make_job(owner, URL, caller=ALICES)
    index(pipeline, b"1", "grouse")
    chunk, corpus_id = owner.execute("SELECT chunk_id, corpus_id FROM cixml.chunks").fetchone() or [None, None]
    path = f"/v1/hits/chk_{chunk.hex}/lineage"
    first = (await api.get(path)).json()
    again = ask(owner, corpus_id, activate="auto", kind="hnsw")
    assert runs.fill(owner, again).is_serving
    (backfill,) = owner.execute("SELECT run_id FROM cixml.batches WHERE kind = 'backfill'").fetchone() or [None]
    told = (await api.get(path)).json()
    assert (told["vector"]["model"], told["vector"]["run_id"]) == (SECOND, backfill)
    assert told["vector"]["embedded_at"] > first["vector"]["embedded_at"]
    assert told["chunk"]["run_id"] == told["page"]["run_id"] == first["vector"]["run_id"] != backfill

    copied = ask(owner, corpus_id, activate="auto")
    assert runs.fill(owner, copied).is_serving
    assert [(await api.get(path)).json()["vector"][name] for name in ("index_version", "run_id")] == [
        f"ver_{copied.hex}",
        backfill,
    ], "its vectors were copied: the run that made them is told"
    runs.parts.database.close()
