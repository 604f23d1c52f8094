"""Deletions for tests: as the API asks for them, and swept to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from dagster import DagsterInstance
from psycopg_pool import AsyncConnectionPool

from resources.orchestration.deletion import Sweeper
from resources.postgres import receipts
from resources.postgres.pool import Pool, caller_transaction
from resources.postgres.receipts import DocumentFilter, Receipt
from resources.settings import Settings
from tests.database import Database

CORPUS_TABLES = (
    "documents", "document_versions", "chunk_sets", "chunks", "chunk_lexemes", "lexeme_counts", "corpus_languages",
    "labels", "kept_texts",
    "stale_hashes", "corpus_levels", "index_versions", "work_queue", "leases", "grants",
)  # fmt: skip
"""Every table in which a deleted corpus leaves no row. Jobs, items, batches and the corpus's own row stay."""
MOST_STEPS = 500


@dataclass(frozen=True, kw_only=True)
class Deleting:
    """The API's deletions over its own login: its transaction, its rights, its row-level security."""

    corpus: Callable[[str, UUID], Receipt | None]
    documents: Callable[[str, UUID, DocumentFilter], Receipt | None]


@contextmanager
def deleting(url: str) -> Iterator[Deleting]:
    pool: Pool = AsyncConnectionPool(url, open=False, min_size=1, max_size=1, kwargs={"autocommit": True})

    async def corpus(caller: str, corpus_id: UUID) -> Receipt | None:
        async with caller_transaction(pool, caller) as connection:
            return await receipts.delete_corpus(
                connection, corpus_id=corpus_id, version=1, address="docs", traceparent=""
            )

    async def documents(caller: str, corpus_id: UUID, where: DocumentFilter) -> Receipt | None:
        async with caller_transaction(pool, caller) as connection:
            return await receipts.delete_documents(
                connection, corpus_id=corpus_id, address="docs", where=where, traceparent=""
            )

    with asyncio.Runner() as runner:
        runner.run(pool.open())
        try:
            yield Deleting(
                corpus=lambda *given: runner.run(corpus(*given)), documents=lambda *given: runner.run(documents(*given))
            )
        finally:
            runner.run(pool.close())


def sweeper_of(database: Database, instance: DagsterInstance, *, dispatch_seconds: float = 0.0) -> Sweeper:
    return Sweeper(
        Settings.load(pipeline={"database_url": database.pipeline_url, "dispatch_seconds": dispatch_seconds}), instance
    )


def sweep(sweeper: Sweeper, owner: psycopg.Connection[Any]) -> None:
    """Step until nothing is left, or all that is left waits for somebody."""
    for _ in range(MOST_STEPS):
        if not sweeper.step():
            return
        waiting = owner.execute(
            "SELECT count(*) FROM cixml.receipts WHERE finished_at IS NULL AND waits_for IS NULL"
        ).fetchone()
        if waiting == (0,):
            return
    raise AssertionError("the sweep finds no end")


def wake(owner: psycopg.Connection[Any]) -> None:
    """Let the pauses of what waits be over."""
    owner.execute("UPDATE cixml.receipts SET next_at = now() WHERE finished_at IS NULL")


def status_of(owner: psycopg.Connection[Any], receipt: Receipt | None) -> tuple[str, str | None, dict[str, int]]:
    """Return the receipt's status, what it waits for, and what it counts."""
    assert receipt
    row = owner.execute("SELECT status, waits_for, removed FROM cixml.receipts WHERE id = %s", [receipt.id]).fetchone()
    assert row
    return row[0], row[1], row[2]


def left_of(owner: psycopg.Connection[Any], corpus_id: UUID) -> dict[str, int]:
    """Count what is left of a corpus in each layer, vectors and bodies that nothing refers to included."""
    found = {}
    for table in CORPUS_TABLES:
        row = owner.execute(f"SELECT count(*) FROM cixml.{table} WHERE corpus_id = %s".encode(), [corpus_id]).fetchone()
        assert row
        found[table] = row[0]
    relations = owner.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'embedding' "
        "WHERE c.relnamespace = 'cixml'::regnamespace AND c.relkind = 'r'"
    ).fetchall()
    for (relation,) in relations:
        row = owner.execute(
            f"SELECT count(*) FROM cixml.{relation} WHERE corpus_id = %s".encode(), [corpus_id]
        ).fetchone()
        assert row
        found["vectors"] = found.get("vectors", 0) + row[0]
    row = owner.execute(
        "SELECT count(*) FROM cixml.page_bodies b "
        "WHERE NOT EXISTS (SELECT FROM cixml.document_versions v WHERE v.body_sha256 = b.sha256)"
    ).fetchone()
    assert row
    found["page_bodies"] = row[0]
    return {layer: count for layer, count in found.items() if count}
