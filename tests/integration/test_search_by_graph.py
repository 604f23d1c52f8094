"""Searches of a corpus with a graph of its own: complete, right, and going on while the index changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
import pytest_asyncio
from pgvector import HalfVector
from pgvector.psycopg import register_vector, register_vector_async
from psycopg import sql
from psycopg.types.json import Jsonb

from resources.membership import caller_id_of
from resources.orchestration import tags
from resources.orchestration.promotion import promote
from resources.orchestration.runtime import Runtime
from resources.orchestration.work import RunWork
from resources.postgres.corpora import CorpusKey, serving_index
from resources.postgres.pool import connected
from resources.postgres.queries import query, query_on
from resources.postgres.search import Found, search
from tests.api import ALICE, Api, index_document, running_api
from tests.database import PEPPER, Database, PostgresServer
from tests.fakes.embedding_server import _word_vector as word_vector

DOCUMENTS, CHUNKS = 30, 10
CALLER = caller_id_of(ALICE, PEPPER)
Owner = psycopg.Connection[Any]


def texts_of(number: int) -> list[str]:
    return [f"word{number} term{part} thing{number * CHUNKS + part}" for part in range(CHUNKS)]


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """Alice's corpus of 300 chunks, searched exactly."""
    settings = database.settings(api={"keys_file": tmp_path / "keys.json"})
    async with running_api(settings) as found:
        assert (await found.post("/v1/jobs", {"corpus": "docs", "urls": ["https://e.com/x"]})).status_code == 202
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


def promote_now(database: Database, owner: Owner) -> None:
    (key,) = owner.execute("SELECT partition_key FROM cixml.corpora").fetchone()  # type: ignore[misc]
    parts = Runtime(database.settings(search={"promote_rows": 100}))
    work = RunWork(dg.DagsterRun(job_name="promotion", run_id=str(uuid4()), tags={tags.PARTITION: key}), parts)
    try:
        assert promote(work) is not None
    finally:
        work.close()
        parts.database.close()


async def found(api: Api, text: str, top_k: int = 10) -> Found:
    async with connected(api.app.state.services.pool) as connection:
        index = await serving_index(connection, caller_id=CALLER, key=CorpusKey(owner=CALLER, name="docs"))
        assert index
        answer = await search(connection, caller_id=CALLER, index=index, vector=word_vector(text, 384), top_k=top_k)
    assert answer
    return answer


async def test_the_graph_answers_what_the_scan_answered(api: Api, database: Database, owner: Owner) -> None:
    probes = [f"word{number} term{number % CHUNKS}" for number in range(20)]
    before = [await found(api, probe) for probe in probes]
    await asyncio.to_thread(promote_now, database, owner)
    body = (await api.post("/v1/corpora/docs/search", {"query": "word3 term5", "top_k": 5})).json()
    assert (len(body["results"]), body["total_candidates"]) == (5, DOCUMENTS * CHUNKS)
    same = 0
    for probe, exact in zip(probes, before, strict=True):
        by_graph = await found(api, probe)
        assert len(by_graph.hits) == 10
        assert [hit.score for hit in by_graph.hits] == sorted((hit.score for hit in by_graph.hits), reverse=True)
        assert by_graph.hits[0].chunk_id == exact.hits[0].chunk_id
        same += len({round(hit.score, 6) for hit in exact.hits} & {round(hit.score, 6) for hit in by_graph.hits})
    assert same >= 0.98 * sum(len({round(hit.score, 6) for hit in exact.hits}) for exact in before)


@asynccontextmanager
async def connection_of_its_own(database: Database) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    connect = psycopg.AsyncConnection.connect(database.api_url, autocommit=True, prepare_threshold=0)
    async with await connect as connection:
        await register_vector_async(connection)
        yield connection


def index_more(database: Database, owner: Owner) -> None:
    """Add as many documents as the corpus has, after its graph was built."""
    with psycopg.connect(database.pipeline_url) as rows:
        for number in range(DOCUMENTS, 2 * DOCUMENTS):
            index_document(rows, corpus="docs", owner=ALICE, url=f"https://e.com/{number}", texts=texts_of(number))
    owner.execute("UPDATE cixml.corpus_levels SET chunks = 2 * chunks")


async def test_what_is_beside_the_graph_is_found_in_its_place(api: Api, database: Database, owner: Owner) -> None:
    """Also by a plan that was made when there was nothing beside it."""
    await asyncio.to_thread(promote_now, database, owner)
    async with connection_of_its_own(database) as connection:
        index = await serving_index(connection, caller_id=CALLER, key=CorpusKey(owner=CALLER, name="docs"))
        assert index

        async def ask(number: int) -> list[float]:
            query_vector = word_vector(texts_of(number)[5], 384)
            answer = await search(connection, caller_id=CALLER, index=index, vector=query_vector, top_k=10)
            assert answer
            assert len({hit.chunk_id for hit in answer.hits}) == 10
            assert answer.hits[0].text == texts_of(number)[5]
            return [hit.score for hit in answer.hits]

        def nearest(number: int) -> list[float]:
            query_vector = word_vector(texts_of(number)[5], 384)
            texts = [text for each in range(2 * DOCUMENTS) for text in texts_of(each)]
            return sorted((float(query_vector @ word_vector(text, 384)) for text in texts), reverse=True)[:10]

        await ask(3)
        await asyncio.to_thread(index_more, database, owner)
        for number in (3, 29, 30, 45, 59):
            assert await ask(number) == pytest.approx(nearest(number), abs=1e-3)
        await connection.execute("SELECT pg_stat_force_next_flush()")
    scans = owner.execute(
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = %s", [f"{index.relation}_graph_embedding_idx"]
    )
    assert scans.fetchone() == (6,)


async def test_a_filter_finds_what_is_nearest_in_the_graph_whatever_passes_beside_it(
    api: Api, database: Database, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scan of the graph is left before it came to what passes there."""
    monkeypatch.setattr("resources.postgres.search.MOST_SCANNED_FILTERED", 1)
    owner.execute("UPDATE cixml.documents SET metadata = '{}' WHERE url <> 'https://e.com/3'")
    await asyncio.to_thread(promote_now, database, owner)
    owner.execute("UPDATE cixml.index_versions SET ef_search = 1")
    await asyncio.to_thread(index_more, database, owner)
    owner.execute("UPDATE cixml.documents SET metadata = '{}' WHERE url ~ '/[45].$'")
    asked = "word9 word9 word9 thing30"  # all of the ninth document is nearer, and does not pass
    body = {"query": asked, "top_k": 10, "filter": {"field": "metadata.n", "eq": 1}}
    hits = (await api.post("/v1/corpora/docs/search", body)).json()["results"]
    passing = [text for number in (3, *range(30, 40)) for text in texts_of(number)]
    near = sorted((float(word_vector(asked, 384) @ word_vector(text, 384)) for text in passing), reverse=True)[:10]
    assert [hit["score"] for hit in hits] == pytest.approx(near, abs=1e-3)
    assert hits[0]["text"] == texts_of(3)[0]


async def test_every_execution_of_the_prepared_statement_scans_the_graph(
    api: Api, database: Database, owner: Owner
) -> None:
    """From the sixth on a prepared statement may get a plan for any values: it must not be one that reads it all."""
    await asyncio.to_thread(promote_now, database, owner)
    async with connection_of_its_own(database) as connection:
        index = await serving_index(connection, caller_id=CALLER, key=CorpusKey(owner=CALLER, name="docs"))
        assert index
        for number in range(12):
            answer = await search(
                connection, caller_id=CALLER, index=index, vector=word_vector(f"word{number}", 384), top_k=10
            )
            assert answer
            assert len(answer.hits) == 10
        await connection.execute("SELECT pg_stat_force_next_flush()")
        plans = await connection.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%OFFSET 0%'"
        )
        assert await plans.fetchone() == (12, 0)
    scans = owner.execute(
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = %s", [f"{index.relation}_graph_embedding_idx"]
    )
    assert scans.fetchone() == (12,)


def bury(owner: Owner) -> None:
    """Take all but two documents away; their vectors stay until a sweep comes."""
    owner.execute(
        "UPDATE cixml.documents SET deleted_at = now() WHERE url NOT IN ('https://e.com/28', 'https://e.com/29')"
    )
    owner.execute("UPDATE cixml.corpus_levels SET chunks = 20")


async def test_what_is_dead_near_the_query_never_makes_an_answer_short(
    api: Api, database: Database, owner: Owner
) -> None:
    await asyncio.to_thread(promote_now, database, owner)
    bury(owner)
    answer = await found(api, "word1 term1 thing11", top_k=15)
    assert len(answer.hits) == 15
    assert {hit.url for hit in answer.hits} == {"https://e.com/28", "https://e.com/29"}
    assert len((await found(api, "word1 term1 thing11", top_k=100)).hits) == 20


async def test_a_scan_that_is_cut_short_is_asked_exactly(
    api: Api, database: Database, owner: Owner, postgres_server: PostgresServer
) -> None:
    await asyncio.to_thread(promote_now, database, owner)
    bury(owner)
    with psycopg.connect(postgres_server.superuser_url, autocommit=True) as superuser:
        superuser.execute(f"ALTER DATABASE {database.name} SET hnsw.max_scan_tuples = 1".encode())
    async with connection_of_its_own(database) as connection:
        index = await serving_index(connection, caller_id=CALLER, key=CorpusKey(owner=CALLER, name="docs"))
        assert index
        answer = await search(
            connection, caller_id=CALLER, index=index, vector=word_vector("word1 term1 thing11", 384), top_k=15
        )
    assert answer
    assert len(answer.hits) == 15


async def test_searches_during_the_flip_are_whole_and_name_one_index(
    api: Api, database: Database, owner: Owner
) -> None:
    truth = [hit.text for hit in (await found(api, "word7 term7 thing77", top_k=1)).hits]
    stopped = asyncio.Event()
    seen: dict[str, int] = {}

    async def keep_searching() -> None:
        while not stopped.is_set():
            answer = await api.post("/v1/corpora/docs/search", {"query": "word7 term7 thing77", "top_k": 5})
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert len(body["results"]) == 5
            assert [body["results"][0]["text"]] == truth
            version = body["query"]["index_version"]
            seen[version] = seen.get(version, 0) + 1

    searchers = [asyncio.create_task(keep_searching()) for _ in range(4)]
    await asyncio.to_thread(promote_now, database, owner)
    before = sum(seen.values())
    while sum(seen.values()) < before + 20:
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in searchers)
    stopped.set()
    await asyncio.gather(*searchers)
    assert len(seen) == 2, "both indexes answered, one after the other"


def most_rows(plan: dict[str, Any]) -> float:
    """Return the most rows that a step of an executed plan made or threw away, over all its loops."""
    rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Join Filter", 0)
    return max([rows * plan["Actual Loops"], *(most_rows(step) for step in plan.get("Plans", []))])


OTHERS = """
INSERT INTO cixml.chunk_sets (document_version_id, corpus_id, chunking_fp, chunk_count, token_count, has_lexemes)
SELECT gen_random_uuid(), %s, %s, 1, 1, true FROM generate_series(1, 20000)
"""


def rows_of_exact_search(owner: Owner, database: Database) -> float:
    row = owner.execute("SELECT id, corpus_id, chunking_fp, relation FROM cixml.index_versions ORDER BY id").fetchone()
    assert row
    version, corpus_id, chunking_fp, relation = row
    values = {"index_version": version, "corpus_id": corpus_id, "chunking_fp": chunking_fp, "top_k": 10}
    values |= {"filter": None, "values": Jsonb({}), "vector": HalfVector(word_vector("word1", 384))}
    explained = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + query_on("search_exact", relation)
    with psycopg.connect(database.api_url) as connection:
        register_vector(connection)
        connection.execute(query("set_caller"), [CALLER, corpus_id.hex])
        connection.execute(query("set_hashed_scan"))
        [[[told]]] = connection.execute(explained, values).fetchall()
    return most_rows(told["Plan"])


async def test_an_exact_search_reads_no_row_again_for_each_other_one_before_there_are_statistics(
    api: Api, owner: Owner, database: Database
) -> None:
    assert rows_of_exact_search(owner, database) == DOCUMENTS * CHUNKS


async def test_an_exact_search_reads_nothing_of_a_larger_corpus_beside_it(
    api: Api, owner: Owner, database: Database
) -> None:
    row = owner.execute("SELECT chunking_fp FROM cixml.index_versions").fetchone()
    assert row
    owner.execute("ALTER TABLE cixml.chunk_sets DROP CONSTRAINT chunk_sets_document_version_id_fkey")  # sets will do
    owner.execute(OTHERS, [uuid4(), row[0]])
    owner.execute("ANALYZE cixml.chunk_sets")
    assert rows_of_exact_search(owner, database) == DOCUMENTS * CHUNKS
