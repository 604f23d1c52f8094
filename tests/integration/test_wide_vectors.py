"""A model of 4,096 dimensions, more than a page of Postgres or HNSW over halfvec takes: exact while a corpus is small,
then by a graph over the signs of the numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import numpy as np
import psycopg
import pytest_asyncio
from pgvector.psycopg import register_vector_async

from resources.embedding.registry import load_registry
from resources.membership import caller_id_of
from resources.orchestration import tags
from resources.orchestration.promotion import promote
from resources.orchestration.runtime import Runtime
from resources.orchestration.work import RunWork
from resources.postgres.corpora import CorpusKey, serving_index
from resources.postgres.migrate import migrate
from resources.postgres.pool import connected
from resources.postgres.recall import SAMPLE
from resources.postgres.search import Found, search
from resources.settings import PROJECT_ROOT, Settings
from tests.api import ALICE, Api, index_document, running_api
from tests.database import PEPPER, Database, database, model_entry, postgres_server  # noqa: F401  # fixtures
from tests.fakes.embedding_server import _word_vector as word_vector

WIDTH, DOCUMENTS, CHUNKS = 4096, 30, 10
CALLER = caller_id_of(ALICE, PEPPER)
PROBES = [f"word{number} term{number % CHUNKS}" for number in range(20)]
WIDE = f"""
[[model]]
id = "wide"
revision = "1"
dimension = {WIDTH}
max_tokens = 256
chunk_max_tokens = 256
chunk_overlap_tokens = 32
tokenizer = "{PROJECT_ROOT}/cixml/model/tokenizer.json"
tokenizer_sha256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
enabled = true
"""


def texts_of(number: int) -> list[str]:
    return [f"word{number} term{part} thing{number * CHUNKS + part}" for part in range(CHUNKS)]


@pytest_asyncio.fixture
async def settings(database: Database, tmp_path: Path) -> Settings:  # noqa: F811
    """A deployment that has the wide model beside the default one."""
    models = tmp_path / "models.toml"
    shipped = (PROJECT_ROOT / "models.toml").read_text()
    models.write_text(shipped.replace("cixml/model/", f"{PROJECT_ROOT}/cixml/model/") + WIDE)
    found = database.settings(
        api={"keys_file": tmp_path / "keys.json"}, embedding={"models_file": models}, search={"promote_rows": 100}
    )
    migrate(found, [model_entry(model) for model in load_registry(models).enabled])
    return found


@pytest_asyncio.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[Api]:  # noqa: F811
    """Alice's corpus of 300 chunks, served by the wide model."""
    async with running_api(settings) as found:
        assert (await found.post("/v1/jobs", {"corpus": "docs", "urls": ["https://e.com/x"]})).status_code == 202
        with psycopg.connect(database.owner_url) as owner:
            owner.execute(
                "UPDATE cixml.index_versions v SET model_id = m.id, relation = m.relation "
                "FROM cixml.models m WHERE m.name = 'wide'"
            )
        with psycopg.connect(database.pipeline_url) as rows:
            for number in range(DOCUMENTS):
                index_document(rows, corpus="docs", owner=ALICE, url=f"https://e.com/{number}", texts=texts_of(number))
        with psycopg.connect(database.owner_url) as owner:
            owner.execute(
                "INSERT INTO cixml.corpus_levels (corpus_id, chunking_fp, documents, chunks, tokens, digest) "
                "SELECT corpus_id, chunking_fp, %s, %s, 1, 1 FROM cixml.index_versions",
                [DOCUMENTS, DOCUMENTS * CHUNKS],
            )
        yield found


def promote_now(database: Database, settings: Settings) -> None:  # noqa: F811
    with psycopg.connect(database.owner_url) as owner:
        row = owner.execute("SELECT partition_key FROM cixml.corpora").fetchone()
    assert row
    parts = Runtime(settings)
    work = RunWork(dg.DagsterRun(job_name="promotion", run_id=str(uuid4()), tags={tags.PARTITION: row[0]}), parts)
    try:
        assert promote(work) is not None
    finally:
        work.close()
        parts.database.close()


async def found(api: Api, text: str, *, kind: str, top_k: int = 10) -> Found:
    async with connected(api.app.state.services.pool) as connection:
        return await found_on(connection, text, kind=kind, top_k=top_k)


async def found_on(
    connection: psycopg.AsyncConnection[Any], text: str, *, kind: str = "hnsw", top_k: int = 10
) -> Found:
    index = await serving_index(connection, caller_id=CALLER, key=CorpusKey(owner=CALLER, name="docs"))
    assert index
    assert (index.dimension, index.kind) == (WIDTH, kind)
    answer = await search(connection, caller_id=CALLER, index=index, vector=word_vector(text, WIDTH), top_k=top_k)
    assert answer
    return answer


def scores(answer: Found) -> list[float]:
    return [round(hit.score, 3) for hit in answer.hits]


async def test_wide_vectors_are_searched_exactly_then_by_their_signs(
    api: Api,
    database: Database,  # noqa: F811
    settings: Settings,
) -> None:
    texts = [text for number in range(DOCUMENTS) for text in texts_of(number)]
    stored = np.stack([word_vector(text, WIDTH) for text in texts])
    truth = {probe: sorted(stored @ word_vector(probe, WIDTH), reverse=True)[:10] for probe in PROBES}
    for probe in PROBES[:3]:
        np.testing.assert_allclose(scores(await found(api, probe, kind="exact")), truth[probe], atol=2e-3)
    await asyncio.to_thread(promote_now, database, settings)
    connect = psycopg.AsyncConnection.connect(database.api_url, autocommit=True, prepare_threshold=0)
    async with await connect as connection:
        await register_vector_async(connection)
        for probe in PROBES:
            np.testing.assert_allclose(scores(await found_on(connection, probe)), truth[probe], atol=2e-3)
        assert len((await found_on(connection, "word3", top_k=100)).hits) == 100
        await connection.execute("SELECT pg_stat_force_next_flush()")
    with psycopg.connect(database.owner_url) as owner:
        graphs = owner.execute(
            "SELECT idx_scan, pg_get_indexdef(indexrelid) FROM pg_stat_user_indexes "
            "WHERE pg_get_indexdef(indexrelid) LIKE '%USING hnsw%'"
        ).fetchall()
    assert len(graphs) == 1
    assert graphs[0][0] == SAMPLE + len(PROBES) + 1, "a search did not go by the graph, whatever it found"
    assert f"(binary_quantize(embedding))::bit({WIDTH})" in graphs[0][1]


async def test_a_graph_over_signs_takes_what_comes_later(
    api: Api,
    database: Database,  # noqa: F811
    settings: Settings,
) -> None:
    await asyncio.to_thread(promote_now, database, settings)
    with psycopg.connect(database.pipeline_url) as rows:
        index_document(rows, corpus="docs", owner=ALICE, url="https://e.com/late", texts=["quite another thing"])
    answer = await found(api, "quite another thing", kind="hnsw")
    assert answer.hits[0].url == "https://e.com/late"
    assert answer.hits[0].score > 0.99
