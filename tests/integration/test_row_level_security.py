"""The API's login sees the rows of the caller it names and nothing else, whatever it selects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import errors, sql

from resources.membership import caller_id_of
from tests.api import ALICE, BOB, Api, index_document, running_api
from tests.database import PEPPER, Database, database, postgres_server  # noqa: F401  # fixtures

NOBODYS = {"models", "schema_migrations"}
"""What is the same for all callers and names none of them."""


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:  # noqa: F811
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


@pytest.fixture
def login(database: Database) -> Iterator[psycopg.Connection[Any]]:  # noqa: F811
    with psycopg.connect(database.api_url) as connection:
        yield connection


@pytest_asyncio.fixture
async def alices_corpus(api: Api, database: Database) -> str:  # noqa: F811
    """Alice has a row in every table and view; returns her corpus's id."""
    job = {"corpus": "docs", "urls": ["https://docs.example.com/a", "https://docs.example.com/b"]}
    answer = await api.post("/v1/jobs", job, headers={"Idempotency-Key": "alices"})
    assert answer.status_code == 202
    with psycopg.connect(database.pipeline_url) as pipeline:
        index_document(pipeline, corpus="docs", owner=ALICE, url="https://docs.example.com/a", texts=["one", "two"])
        alice = caller_id_of(ALICE, PEPPER)
        corpus = pipeline.execute("SELECT id FROM cixml.corpora").fetchone()
        assert corpus
        with psycopg.connect(database.api_url) as login:
            login.execute("SELECT set_config('cixml.caller_id', %s, true)", [alice])
            login.execute(
                "INSERT INTO cixml.receipts (caller_id, corpus_id, corpus, kind) VALUES (%s, %s, 'docs', 'documents')",
                [alice, corpus[0]],
            )
            login.execute("INSERT INTO cixml.labels VALUES (%s, 0, 'q', '{u}')", [corpus[0]])
            login.execute(
                "INSERT INTO cixml.audit VALUES (uuidv7(), now(), %s, '::1', 'GET', '/v1/jobs', '{}', 200, 'r', 't')",
                [alice],
            )
        for statement, values in (
            ("INSERT INTO cixml.grants VALUES (%s, %s, 'owner')", [corpus[0], alice]),
            ("INSERT INTO cixml.corpus_levels VALUES (%s, 'fp', 1, 2, 3, 4)", [corpus[0]]),
            ("INSERT INTO cixml.lexeme_counts VALUES (%s, 'one', 1)", [corpus[0]]),
            (
                "INSERT INTO cixml.kept_texts (chunking_fp, document_version_id, corpus_id, text) "
                "SELECT 'fp', id, corpus_id, 't' FROM cixml.document_versions",
                [],
            ),
            ("INSERT INTO cixml.stale_hashes VALUES (%s, uuidv7())", [corpus[0]]),
            ("INSERT INTO cixml.usage_ledger VALUES (%s, 1, uuidv7(), %s, 3)", [alice, corpus[0]]),
            (
                "INSERT INTO cixml.usage (caller_id, day, corpus_owner, corpus, model, operation) "
                "VALUES (%s, now(), 'o', 'docs', 'm', 'index')",
                [alice],
            ),
            (
                "INSERT INTO cixml.removed_pages (item_id, document_id, corpus_id, caller_id) "
                "VALUES (uuidv7(), uuidv7(), %s, %s)",
                [corpus[0], alice],
            ),
            ("INSERT INTO cixml.workers (id, queues, slots) VALUES ('w', '{ingest}', 3)", []),
            ("INSERT INTO cixml.beats VALUES ('lifeline', now())", []),
            ("INSERT INTO cixml.hosts VALUES ('docs.example.com', now(), 'crawl delay')", []),
            (
                "INSERT INTO cixml.batches (kind, corpus_id, items, lease_until) VALUES ('ingest', %s, 1, now())",
                [corpus[0]],
            ),
            (
                "INSERT INTO cixml.leases (corpus_id, url_key, work, batch_id, item_id, caller_id) "
                "SELECT i.corpus_id, i.url_key, 'ingest', b.id, i.id, i.caller_id "
                "FROM cixml.job_items i, cixml.batches b WHERE i.ordinal = 0",
                [],
            ),
        ):
            pipeline.execute(statement.encode(), values)
    return str(corpus[0])


def relations(database: Database) -> list[str]:  # noqa: F811
    """Every table and view of the schema."""
    with psycopg.connect(database.owner_url) as owner:
        found = owner.execute(
            "SELECT relname FROM pg_class "
            "WHERE relnamespace = 'cixml'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')"
        ).fetchall()
    return sorted(row[0] for row in found)


def seen(login: psycopg.Connection[Any], relation: str, *, caller: str, corpus_id: str = "") -> int:
    """Count what the login sees of a relation, without a predicate; nothing where it may not select at all."""
    with login.transaction(force_rollback=True):
        login.execute(
            "SELECT set_config('cixml.caller_id', %s, true), set_config('cixml.corpus_id', %s, true)",
            [caller, corpus_id],
        )
        try:
            with login.transaction():
                row = login.execute(
                    sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("cixml", relation))
                ).fetchone()
        except errors.InsufficientPrivilege:
            return 0
    assert row
    return int(row[0])


async def test_another_caller_selects_nothing_from_any_table_or_view(
    alices_corpus: str,
    login: psycopg.Connection[Any],
    database: Database,  # noqa: F811
) -> None:
    alice, bob = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
    with psycopg.connect(database.pipeline_url) as pipeline:
        empty = [
            name
            for name in relations(database)
            if not pipeline.execute(
                sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier("cixml", name))
            ).fetchone()
        ]
    assert empty == [], "give Alice a row in each, or this test says nothing of them"

    for name in set(relations(database)) - NOBODYS:
        for caller in (bob, "", "c_nobody"):
            for corpus_id in ("", alices_corpus):
                assert seen(login, name, caller=caller, corpus_id=corpus_id) == 0, (name, caller, corpus_id)
    visible = {name for name in set(relations(database)) - NOBODYS if seen(login, name, caller=alice)}
    assert {"corpora", "jobs", "job_items", "documents", "chunks", "usage", "usage_ledger"} <= visible
    assert any(name.startswith("vectors_") for name in visible)


async def test_a_corpus_that_is_set_narrows_what_its_owner_sees(
    api: Api, alices_corpus: str, login: psycopg.Connection[Any]
) -> None:
    await api.post("/v1/jobs", {"corpus": "other", "urls": ["https://docs.example.com/a"]})
    alice = caller_id_of(ALICE, PEPPER)
    assert seen(login, "index_versions", caller=alice) == 2
    assert seen(login, "index_versions", caller=alice, corpus_id=alices_corpus) == 1


async def test_a_grant_shows_the_corpus_and_its_text_to_another_caller(
    alices_corpus: str,
    login: psycopg.Connection[Any],
    database: Database,  # noqa: F811
) -> None:
    bob = caller_id_of(BOB, PEPPER)
    with psycopg.connect(database.pipeline_url) as pipeline:
        pipeline.execute("INSERT INTO cixml.grants VALUES (%s, %s, 'reader')", [alices_corpus, bob])
    assert seen(login, "corpora", caller=bob) == 1
    assert seen(login, "grants", caller=bob) == 1
    assert seen(login, "chunks", caller=bob) == 2
    assert seen(login, "chunks", caller=bob, corpus_id=alices_corpus) == 2
    assert seen(login, "jobs", caller=bob) == 0


async def test_the_setting_ends_with_its_transaction(
    api: Api,
    alices_corpus: str,
    database: Database,  # noqa: F811
) -> None:
    """A pooled connection that served Alice knows nothing of her when it serves the next one."""
    pool = api.app.state.services.pool
    await api.post("/v1/corpora/docs/search", {"query": "one"})
    for _ in range(database.settings().api.pool_size):
        async with pool.connection() as connection:
            left = await (await connection.execute("SELECT cixml.caller(), count(*) FROM cixml.corpora")).fetchone()
        assert left == (None, 0)


@pytest.mark.parametrize("url", ["api_url", "pipeline_url"])
async def test_no_login_may_pass_by_the_policies(database: Database, url: str) -> None:  # noqa: F811
    with psycopg.connect(getattr(database, url)) as connection:
        found = connection.execute(
            "SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb FROM pg_roles r "
            "WHERE pg_has_role(current_user, r.oid, 'MEMBER')"
        ).fetchall()
    assert found
    assert not any(any(row) for row in found)


async def test_every_table_with_a_callers_data_has_forced_policies(database: Database) -> None:  # noqa: F811
    with psycopg.connect(database.owner_url) as owner:
        unguarded = owner.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = 'cixml'::regnamespace AND c.relkind IN ('r', 'p') "
            "AND a.attname IN ('caller_id', 'owner', 'corpus_id') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        ).fetchall()
    assert unguarded == []


async def test_the_login_writes_rows_of_its_caller_alone(alices_corpus: str, login: psycopg.Connection[Any]) -> None:
    alice, bob = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
    for statement, values in (
        ("INSERT INTO cixml.callers VALUES (%s, 'user')", [alice + "x"]),
        ("INSERT INTO cixml.corpora (owner, name, partition_key) VALUES (%s, 'new', 'k')", [alice]),
        (
            "INSERT INTO cixml.jobs (caller_id, corpus_id, items_total, items_open) VALUES (%s, %s, 1, 1)",
            [alice, alices_corpus],
        ),
    ):
        with login.transaction(force_rollback=True):
            login.execute("SELECT set_config('cixml.caller_id', %s, true)", [bob])
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(statement.encode(), values)


def test_a_job_on_another_callers_corpus_is_refused_by_the_database(
    login: psycopg.Connection[Any], alices_corpus: str
) -> None:
    bob = caller_id_of(BOB, PEPPER)
    login.execute("SELECT set_config('cixml.caller_id', %s, true)", [bob])
    login.execute("INSERT INTO cixml.callers (caller_id, caller_type) VALUES (%s, 'service')", [bob])
    with pytest.raises(errors.InsufficientPrivilege):
        login.execute(
            "INSERT INTO cixml.jobs (caller_id, corpus_id, items_total, items_open) VALUES (%s, %s, 1, 1)",
            [bob, alices_corpus],
        )


BY_ROLE = {
    "UPDATE cixml.corpora SET title = 'x'": ("owner",),
    "INSERT INTO cixml.grants VALUES (%(corpus)s, 'c_third', 'reader')": ("owner",),
    "UPDATE cixml.grants SET role = 'owner'": ("owner",),
    "DELETE FROM cixml.grants": ("owner",),
    "INSERT INTO cixml.jobs (caller_id, corpus_id, items_total, items_open) "
    "VALUES (cixml.caller(), %(corpus)s, 1, 1)": ("owner", "writer"),
    "INSERT INTO cixml.receipts (caller_id, corpus_id, corpus, kind) "
    "VALUES (cixml.caller(), %(corpus)s, 'docs', 'corpus')": ("owner",),
    "INSERT INTO cixml.receipts (caller_id, corpus_id, corpus, kind) "
    "VALUES (cixml.caller(), %(corpus)s, 'docs', 'document')": ("owner", "writer"),
    "UPDATE cixml.corpora SET deleted_at = now()": ("owner",),
    "UPDATE cixml.documents SET deleted_at = now(), live_version_id = NULL": ("owner", "writer"),
    "UPDATE cixml.document_versions SET live_to = now()": ("owner", "writer"),
    "UPDATE cixml.corpus_levels SET documents = 0": ("owner", "writer"),
    "UPDATE cixml.receipts SET status = 'done'": (),
}


@pytest.mark.parametrize("statement", BY_ROLE)
@pytest.mark.parametrize("role", ["owner", "writer", "reader", None])
def test_the_database_lets_a_grant_do_what_its_role_may(
    alices_corpus: str,
    login: psycopg.Connection[Any],
    database: Database,  # noqa: F811
    statement: str,
    role: str | None,
) -> None:
    bob = caller_id_of(BOB, PEPPER)
    with psycopg.connect(database.pipeline_url) as pipeline:
        pipeline.execute("INSERT INTO cixml.callers VALUES (%s, 'service')", [bob])
        if role:
            pipeline.execute("INSERT INTO cixml.grants VALUES (%s, %s, %s)", [alices_corpus, bob, role])
    with login.transaction(force_rollback=True):
        login.execute("SELECT set_config('cixml.caller_id', %s, true)", [bob])
        try:
            with login.transaction():
                changed = login.execute(statement.encode(), {"corpus": alices_corpus}).rowcount
        except errors.InsufficientPrivilege:
            changed = 0
    assert (changed > 0) == (role in BY_ROLE[statement])


def test_a_corpus_that_is_being_deleted_shows_nothing_of_what_is_in_it(
    alices_corpus: str,
    login: psycopg.Connection[Any],
    database: Database,  # noqa: F811
) -> None:
    with psycopg.connect(database.pipeline_url) as pipeline:
        pipeline.execute("UPDATE cixml.corpora SET deleted_at = now()")
    alice = caller_id_of(ALICE, PEPPER)
    for name in ("documents", "document_versions", "chunk_sets", "chunks", "index_versions", "corpus_levels"):
        for corpus_id in ("", alices_corpus):
            assert seen(login, name, caller=alice, corpus_id=corpus_id) == 0, name
    assert seen(login, "jobs", caller=alice) == 1
    assert seen(login, "receipts", caller=alice) == 1


def test_a_writer_that_may_only_read_by_now_adds_nothing_to_its_jobs(
    alices_corpus: str,
    login: psycopg.Connection[Any],
    database: Database,  # noqa: F811
) -> None:
    alice, bob = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
    with psycopg.connect(database.pipeline_url) as pipeline:
        pipeline.execute("INSERT INTO cixml.callers VALUES (%s, 'service')", [bob])
        pipeline.execute("INSERT INTO cixml.grants VALUES (%s, %s, 'reader')", [alices_corpus, bob])
        job = pipeline.execute(
            "INSERT INTO cixml.jobs (caller_id, corpus_id, items_total, items_open) VALUES (%s, %s, 1, 1) RETURNING id",
            [bob, alices_corpus],
        ).fetchone()
        assert job
        item = pipeline.execute(
            "INSERT INTO cixml.job_items (job_id, caller_id, corpus_id, ordinal, url, url_key, host) "
            "VALUES (%s, %s, %s, 0, 'u', 'u', 'h') RETURNING id",
            [job[0], bob, alices_corpus],
        ).fetchone()
        assert item
    login.execute("SELECT set_config('cixml.caller_id', %s, false)", [bob])
    login.commit()
    for statement, values in (
        (
            "INSERT INTO cixml.job_items (job_id, caller_id, corpus_id, ordinal, url, url_key, host) "
            "VALUES (%s, %s, %s, 1, 'u', 'u', 'h')",
            [job[0], bob, alices_corpus],
        ),
        (
            "INSERT INTO cixml.work_queue (item_id, caller_id, corpus_id, url_key, host) VALUES (%s, %s, %s, 'u', 'h')",
            [item[0], bob, alices_corpus],
        ),
        ("UPDATE cixml.jobs SET caller_id = %s", [alice]),
        ("UPDATE cixml.jobs SET corpus_id = %s", [alices_corpus]),
    ):
        with pytest.raises(errors.InsufficientPrivilege), login.transaction():
            login.execute(statement.encode(), values)
    with login.transaction(force_rollback=True):
        assert login.execute("UPDATE cixml.jobs SET status = 'cancelling'").rowcount == 1
    assert login.execute("SELECT cixml.corpus_of_own_job(id) FROM cixml.jobs").fetchall() == [(f"{alice}:docs",)]
    login.execute("SELECT set_config('cixml.caller_id', %s, false)", ["c_nobody"])
    assert login.execute("SELECT cixml.corpus_of_own_job(%s)", [job[0]]).fetchone() == (None,)
