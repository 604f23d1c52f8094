"""Index versions as the owners of a corpus ask for them, see them, have them serve and give them up.

Filling and flipping are the pipeline's: resources/postgres/index_builds.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.postgres.pool import fetch_as
from resources.postgres.queries import query
from resources.types import Chunking


@dataclass(frozen=True, slots=True, kw_only=True)
class ReindexFacts:
    """What another index of a corpus starts from: the model that serves and its cut, and the versions on their way."""

    model: str
    chunking: Mapping[str, Any]
    chunking_fp: str
    open_versions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """An index version to ask for. `exact_numbers`: with more in its vectors it gets a relation of its own."""

    model_fingerprint: str
    chunking: Chunking
    chunking_fp: str
    fill_from: str
    activate: str
    exact_numbers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """An index version and how far it is. `state` may be `failed`: given up, `error` says why."""

    id: UUID
    model: str
    is_enabled: bool
    kind: str
    state: str
    chunking: dict[str, Any]
    fill_from: str | None
    activate: str
    activate_at: datetime | None
    drop_after: datetime | None
    error: dict[str, Any] | None
    comparison: dict[str, Any] | None
    filling_since: datetime | None
    documents_total: int
    documents_cut: int
    documents_done: int
    chunks_total: int
    chunks_done: int
    chunks_reused: int
    created_at: datetime
    state_changed_at: datetime
    traceparent: str | None
    filling_seconds: float | None


async def read_facts(connection: AsyncConnection[TupleRow], *, caller_id: str, corpus_id: UUID) -> ReindexFacts | None:
    """Return what there is; None when the corpus was deleted just now."""
    found = await fetch_as(
        connection, caller_id, query("reindex_facts"), {"corpus_id": corpus_id}, rows=class_row(ReindexFacts)
    )
    return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LongChunks:
    """How many of all live chunks are longer than a window."""

    long: int
    all: int


async def count_long_chunks(
    connection: AsyncConnection[TupleRow], *, caller_id: str, corpus_id: UUID, chunking_fp: str, window_tokens: int
) -> LongChunks:
    """Count; reads the whole corpus."""
    parameters = {"corpus_id": corpus_id, "chunking_fp": chunking_fp, "window_tokens": window_tokens}
    [found] = await fetch_as(connection, caller_id, query("count_long_chunks"), parameters, rows=class_row(LongChunks))
    return found


async def request_version(
    connection: AsyncConnection[TupleRow],
    *,
    corpus_id: UUID,
    version: NewVersion,
    index_version_id: UUID,
    traceparent: str,
) -> bool:
    """Ask for a version in an owner's transaction. False: its model is not in the database, or there is no corpus."""
    cursor = await connection.execute(
        query("request_index_version"),
        {
            "index_version_id": index_version_id,
            "corpus_id": corpus_id,
            "model_fingerprint": version.model_fingerprint,
            "chunking": Jsonb(asdict(version.chunking)),
            "chunking_fp": version.chunking_fp,
            "fill_from": version.fill_from,
            "activate": version.activate,
            "numbers": version.exact_numbers,
            "traceparent": traceparent,
        },
    )
    return await _is_done(connection, cursor)


async def activate(
    connection: AsyncConnection[TupleRow], *, corpus_id: UUID, index_version_id: UUID, force: bool, traceparent: str
) -> bool:
    """Ask in an owner's transaction that a version serves.

    False: it is neither ready nor may serve again, its model is disabled, or it is worse than what serves and not
    forced.
    """
    parameters = {"corpus_id": corpus_id, "index_version_id": index_version_id, "force": force}
    parameters |= {"traceparent": traceparent}
    return await _is_done(connection, await connection.execute(query("activate_version"), parameters))


async def drop(connection: AsyncConnection[TupleRow], *, corpus_id: UUID, index_version_id: UUID) -> bool:
    """Give a version up in an owner's transaction. False: it serves, or nothing of it is left."""
    parameters = {"corpus_id": corpus_id, "index_version_id": index_version_id}
    return await _is_done(connection, await connection.execute(query("drop_version"), parameters))


async def read_versions(
    connection: AsyncConnection[TupleRow], *, caller_id: str, corpus_id: UUID, index_version_id: UUID | None = None
) -> list[VersionSummary]:
    """Return the versions of a corpus that the caller may see, the oldest first; or the one."""
    parameters = {"corpus_id": corpus_id, "index_version_id": index_version_id}
    return await fetch_as(
        connection, caller_id, query("read_index_versions"), parameters, rows=class_row(VersionSummary)
    )


async def read_version(
    connection: AsyncConnection[TupleRow], *, corpus_id: UUID, index_version_id: UUID
) -> VersionSummary | None:
    """Return one version in a caller's transaction."""
    cursor = connection.cursor(row_factory=class_row(VersionSummary))
    parameters = {"corpus_id": corpus_id, "index_version_id": index_version_id}
    await cursor.execute(query("read_index_versions"), parameters)
    return await cursor.fetchone()


async def _is_done(connection: AsyncConnection[TupleRow], cursor: AsyncCursor[TupleRow]) -> bool:
    """Return whether the statement found its row; the sensor looks once it is committed."""
    await connection.execute(query("notify_jobs"))
    return await cursor.fetchone() is not None
