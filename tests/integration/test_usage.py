"""What callers used: counted once, with what it counts, and told by caller, corpus, model, operation and day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from resources.membership import caller_id_of
from resources.postgres import batches, items, migrate, usage, vectors
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.items import ItemEnd
from resources.postgres.vectors import NewVector
from resources.types import ItemStatus
from tests.api import ALICE, BOB, OPERATOR, Api, index_document, running_api
from tests.builders import make_job, make_worker
from tests.database import PEPPER, Database, PostgresServer
from tests.rows import MODEL, begin, claim_all, index, store_document, vector_of

NUMBERS = ("pages", "bytes", "chunks", "embedding_tokens", "cached_tokens", "searches")


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


async def used(api: Api, query: str = "", *, key: str = ALICE) -> dict[str, Any]:
    answer = await api.get(f"/v1/usage?{query}", key=key)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def counted(owner: psycopg.Connection[Any], caller: str = "c_a") -> tuple[Any, ...] | None:
    return owner.execute(
        "SELECT sum(pages), sum(bytes), sum(chunks), sum(embedding_tokens), sum(cached_tokens) FROM cixml.usage "
        "WHERE caller_id = %s AND operation = 'index'",
        [caller],
    ).fetchone()


def test_a_page_counts_in_the_transaction_of_its_end_and_once(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    index(pipeline, b"a body", "one two", "three four")
    assert counted(owner) == (1, 6, 2, 6, 0)
    ended = owner.execute("SELECT batch_id, id FROM cixml.job_items").fetchone()
    assert ended
    with pipeline.transaction() as connection:
        end = ItemEnd(item_id=ended[1], status=ItemStatus.INDEXED, cached_tokens=9)
        assert items.end(connection, batch_id=ended[0], ends=[end]) == []
    assert counted(owner) == (1, 6, 2, 6, 0)
    make_job(owner, "https://example.com/b", corpus="other")
    index(pipeline, b"a body", "one two", "three four")  # embedded again for another corpus, charged once
    assert counted(owner) == (2, 12, 4, 6, 0)
    ledger = owner.execute("SELECT sum(tokens) FROM cixml.usage_ledger").fetchone()
    assert ledger == (6,)


def test_nothing_counts_of_a_transaction_that_was_rolled_back(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    [claimed] = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    hashes = store_document(pipeline, batch, b"a body", "one two", "three four")
    new = [NewVector(chunk_hash=each, caller_id="c_a", token_count=3, embedding=vector_of(each)) for each in hashes]

    def write() -> None:
        with pipeline.transaction() as connection:
            paid = vectors.store(
                connection, corpus_id=batch.corpus_id, batch_id=batch.batch_id, index=batch.serving, vectors=new
            )
            ends = [
                ItemEnd(item_id=item.item_id, status=ItemStatus.INDEXED)
                for item in batches.open_items(connection, batch_id=batch.batch_id)
            ]
            items.end(connection, batch_id=batch.batch_id, ends=ends)
            usage.count_texts(connection, corpus_id=batch.corpus_id, model_id=batch.serving.model_id, paid=paid)
            if counted(owner) == (None,) * 5 and not write_for_good:
                raise InterruptedError

    write_for_good = False
    with pytest.raises(InterruptedError):
        write()
    assert counted(owner) == (None,) * 5
    write_for_good = True
    write()
    assert counted(owner) == (1, 6, 2, 6, 0)


def test_two_transactions_of_a_corpus_count_in_turns_whatever_their_callers(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, database: Database
) -> None:
    """Else one that counts for a, then for b, and one that counts for b, then for a, would wait for each other."""
    made = make_job(owner, "https://example.com/a")
    with pipeline.transaction() as connection, psycopg.connect(database.pipeline_url) as other:
        usage.count_texts(connection, corpus_id=made.corpus_id, model_id=1, paid={"c_a": 1})
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable), other.transaction():
            usage.count_texts(other, corpus_id=made.corpus_id, model_id=1, paid={"c_b": 1})
        usage.count_texts(connection, corpus_id=made.corpus_id, model_id=1, paid={"c_b": 2})
    assert counted(owner, "c_b") == (0, 0, 0, 2, 0)


async def test_usage_is_told_by_corpus_operation_model_and_day_and_is_ones_own(api: Api, database: Database) -> None:
    for corpus, key in (("docs", ALICE), ("notes", ALICE), ("docs", BOB)):
        job = {"corpus": corpus, "urls": ["https://docs.example.com/a"]}
        assert (await api.post("/v1/jobs", job, key=key)).status_code == 202
        with psycopg.connect(database.pipeline_url) as rows:
            index_document(rows, corpus=corpus, owner=key, url="https://docs.example.com/a", texts=["one", "two"])
            rows.execute(
                "INSERT INTO cixml.usage (caller_id, day, corpus_owner, corpus, model, operation, pages, "
                "embedding_tokens) VALUES (%s, (now() AT TIME ZONE 'UTC')::date - 3, %s, %s, %s, 'index', 2, 7)",
                [caller_id_of(key, PEPPER), caller_id_of(key, PEPPER), corpus, MODEL],
            )
        for query in ("one two three", "four"):
            assert (await api.post(f"/v1/corpora/{corpus}/search", {"query": query}, key=key)).status_code == 200
    await api.post("/v1/corpora/nothing/search", {"query": "not found, not counted"})

    plain = await used(api)
    nothing = dict.fromkeys(NUMBERS, 0)
    assert plain["total"] == nothing | {"pages": 4, "embedding_tokens": 2 * (7 + 5 + 3), "searches": 4}
    assert plain["content"] == [plain["total"] | dict.fromkeys(("caller_id", "corpus", "model", "operation", "day"))]
    by_corpus = await used(api, "group_by=operation,corpus")
    assert by_corpus["_metadata"]["order"] == "corpus,operation"
    names = ("corpus", "operation", "pages", "embedding_tokens", "searches")
    assert [tuple(group[name] for name in names) for group in by_corpus["content"]] == [
        ("docs", "index", 2, 7, 0),
        ("docs", "search", 0, 8, 2),
        ("notes", "index", 2, 7, 0),
        ("notes", "search", 0, 8, 2),
    ]
    today = datetime.now(UTC).date()
    by_day = await used(api, "group_by=day,model")
    assert [(g["day"], g["model"], g["searches"]) for g in by_day["content"]] == [
        (str(today - timedelta(days=3)), MODEL, 0),
        (str(today), MODEL, 4),
    ]
    assert (by_day["from"], by_day["to"]) == (str(today - timedelta(days=29)), str(today + timedelta(days=1)))
    past = await used(api, f"from={today - timedelta(days=3)}&to={today}")
    assert (past["total"]["pages"], past["total"]["searches"]) == (4, 0)
    assert (await used(api, "from=2020-01-01&to=2020-02-01&group_by=day"))["content"] == []

    mine = await used(api, "group_by=caller")
    assert [g["caller_id"] for g in mine["content"]] == [caller_id_of(ALICE, PEPPER)]
    every = await used(api, "group_by=caller,corpus", key=OPERATOR)
    alice, bob = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
    assert {(g["caller_id"], g["corpus"], g["searches"]) for g in every["content"]} == {
        (alice, f"{alice}:docs", 2), (alice, f"{alice}:notes", 2), (bob, f"{bob}:docs", 2)
    }  # fmt: skip
    assert every["total"]["searches"] == 6


async def test_a_search_of_a_granted_corpus_counts_for_who_asked(api: Api, database: Database) -> None:
    await api.post("/v1/corpora", {"name": "docs"})
    alice, bob = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
    assert (await api.send("PUT", f"/v1/corpora/docs/grants/{bob}", json={"role": "reader"})).status_code == 200
    assert (await api.post(f"/v1/corpora/{alice}:docs/search", {"query": "x"}, key=BOB)).status_code == 200
    assert [(g["corpus"], g["searches"]) for g in (await used(api, "group_by=corpus", key=BOB))["content"]] == [
        (f"{alice}:docs", 1)
    ]
    assert (await used(api))["total"]["searches"] == 0


async def test_groups_come_in_pages(api: Api, database: Database) -> None:
    with psycopg.connect(database.pipeline_url) as rows:
        rows.execute(
            "INSERT INTO cixml.usage (caller_id, day, corpus_owner, corpus, model, operation, pages) "
            "SELECT %s, (now() AT TIME ZONE 'UTC')::date, 'o', 'c' || n, 'm', 'index', n FROM generate_series(1, 5) n",
            [caller_id_of(ALICE, PEPPER)],
        )
    found, cursor = [], ""
    while cursor is not None:
        body = await used(api, f"group_by=corpus&limit=2{cursor and '&cursor=' + cursor}")
        assert (body["total"]["pages"], body["_metadata"]["total_records"]) == (15, 5)
        found += [group["pages"] for group in body["content"]]
        cursor = body["_metadata"]["next"]
    assert found == [1, 2, 3, 4, 5]
    body = await used(api, "group_by=corpus&limit=2")
    other = await api.get(f"/v1/usage?group_by=day&cursor={body['_metadata']['next']}")
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (422, "/cursor")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("group_by=colour", "/group_by"),
        ("group_by=corpus,", "/group_by"),
        ("group_by=", "/group_by"),
        ("from=2026-11-24&to=2026-11-24", "/from"),
        ("from=2026-11-25&to=2026-11-24", "/from"),
        ("from=2025-01-01&to=2026-11-24", "/from"),
        ("from=2026-02-30", "/from"),
        ("to=20261124", "/to"),
        ("to=0000-01-01", "/to"),
        ("to=0001-01-01", "/from"),
        ("to=1700000000", "/to"),
        ("from=2026-11-24T00:00:00Z", "/from"),
        ("limit=0", "/limit"),
        ("cursor=x", "/cursor"),
    ],
)
async def test_a_question_that_makes_no_sense_names_its_parameter(api: Api, query: str, pointer: str) -> None:
    answer = await api.get(f"/v1/usage?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_searches_are_counted_when_the_process_stops(database: Database, tmp_path: Path) -> None:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as api:
        await api.post("/v1/corpora", {"name": "docs"})
        for _ in range(3):
            assert (await api.post("/v1/corpora/docs/search", {"query": str(uuid4())})).status_code == 200
    with psycopg.connect(database.pipeline_url) as pipeline:
        assert pipeline.execute("SELECT sum(searches) FROM cixml.usage").fetchone() == (3,)


async def test_searches_wait_while_the_database_is_gone(
    postgres_server: PostgresServer, database: Database, tmp_path: Path
) -> None:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as api:
        await api.post("/v1/corpora", {"name": "docs"})
        assert (await api.post("/v1/corpora/docs/search", {"query": "x"})).status_code == 200
        postgres_server.stop()
        try:
            assert (await api.get("/v1/usage")).status_code == 503
        finally:
            postgres_server.start()
    with psycopg.connect(database.pipeline_url) as pipeline:
        assert pipeline.execute("SELECT sum(searches) FROM cixml.usage").fetchone() == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO cixml.usage (caller_id, day, corpus_owner, corpus, model, operation) "
        "VALUES ('c_a', now(), 'o', 'c', 'm', 'search')",
        "UPDATE cixml.usage SET pages = 0",
        "DELETE FROM cixml.usage",
    ],
)
def test_the_api_counts_searches_and_changes_nothing_else(database: Database, statement: LiteralString) -> None:
    with psycopg.connect(database.api_url) as login, pytest.raises(psycopg.errors.InsufficientPrivilege):
        login.execute(statement)


def test_what_was_used_before_the_table_is_counted_by_its_migration(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a", "https://example.com/b")
    index(pipeline, b"a body", "one two", "three four")
    make_job(owner, "https://example.com/c", caller="c_b")
    index(pipeline, b"another", "five")
    rows = "SELECT * FROM cixml.usage ORDER BY caller_id, corpus_owner"
    counted = owner.execute(rows).fetchall()
    assert len(counted) == 3
    owner.execute("DELETE FROM cixml.usage")
    migration = (Path(migrate.__file__).parent / "migrations" / "0016_count_usage.sql").read_text()
    for statement in migration.split(";\n"):
        if "\nFROM cixml.job_items" in statement or "\nFROM cixml.usage_ledger" in statement:
            owner.execute(statement.encode())
    assert owner.execute(rows).fetchall() == counted
