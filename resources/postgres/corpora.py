"""A caller's corpora: made on first use with the index version that serves them, read, listed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow, class_row, scalar_row
from psycopg.types.json import Jsonb

from resources.identifiers import new_uuid, short_id
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query
from resources.types import Chunking

COUNT_CAP = 10_001
"""Totals are exact up to one less; counting further costs time that no reader of a list gains from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIndex:
    """What the first index version of a new corpus is made of."""

    model_fingerprint: str
    chunking: Chunking
    chunking_fp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSummary:
    """A corpus with what is live in it. Times are of checks: when its pages were last found current."""

    name: str
    partition_key: str
    created_at: datetime
    index_version: UUID | None
    model: str | None
    kind: str | None
    chunking: dict[str, Any] | None
    documents: int
    chunks: int
    oldest_check_at: datetime | None
    newest_check_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingIndex:
    """The index version that answers the searches of a corpus, and its model."""

    id: UUID
    corpus_id: UUID
    chunking_fp: str
    relation: str
    kind: str
    ef_search: int
    model: str
    fingerprint: str
    dimension: int


async def ensure_corpus(
    connection: AsyncConnection[TupleRow], *, caller_id: str, name: str, index: NewIndex
) -> tuple[AsyncCursor[TupleRow], AsyncCursor[TupleRow]]:
    """Make the corpus and its serving index version unless the caller has the corpus.

    Returns the cursors of both statements: once the pipeline is synced, their row counts must be equal.
    """
    corpus_id = new_uuid()
    key = f"{name}-{short_id(corpus_id)}"
    corpus = await connection.execute(
        query("ensure_corpus"),
        {"corpus_id": corpus_id, "caller_id": caller_id, "name": name, "partition_key": key},
    )
    version = await connection.execute(
        query("ensure_serving_index"),
        {
            "corpus_id": corpus_id,
            "chunking": Jsonb(asdict(index.chunking)),
            "chunking_fp": index.chunking_fp,
            "model_fingerprint": index.model_fingerprint,
        },
    )
    return corpus, version


async def get_corpus(connection: AsyncConnection[TupleRow], *, caller_id: str, name: str) -> CorpusSummary | None:
    """Return one corpus of the caller."""
    found = await fetch_as(connection, caller_id, query("get_corpus"), {"name": name}, rows=class_row(CorpusSummary))
    return found[0] if found else None


async def list_corpora(
    connection: AsyncConnection[TupleRow], *, caller_id: str, after_name: str, limit: int
) -> list[CorpusSummary]:
    """Return the caller's corpora by name."""
    parameters = {"after_name": after_name, "limit": limit}
    return await fetch_as(connection, caller_id, query("list_corpora"), parameters, rows=class_row(CorpusSummary))


async def count_corpora(connection: AsyncConnection[TupleRow], *, caller_id: str) -> int:
    """Count the caller's corpora, up to COUNT_CAP."""
    found = await fetch_as(connection, caller_id, query("count_corpora"), {"cap": COUNT_CAP}, rows=scalar_row)
    return int(found[0])


async def serving_index(connection: AsyncConnection[TupleRow], *, caller_id: str, name: str) -> ServingIndex | None:
    """Return what serves the caller's corpus; None when there is no such corpus."""
    found = await fetch_as(connection, caller_id, query("serving_index"), {"name": name}, rows=class_row(ServingIndex))
    return found[0] if found else None
