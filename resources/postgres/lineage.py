"""Where a chunk comes from: its place, its page, what cut it, what embedded it, and the runs that did so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, errors
from psycopg.rows import TupleRow, class_row

from resources.postgres.pool import fetch_as
from resources.postgres.queries import query, query_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A chunk and all that made it. None: nobody noted it (stored long ago), or it is of another caller's job."""

    chunk_id: UUID
    ordinal: int
    start_offset: int
    end_offset: int
    token_count: int
    heading: str | None
    chunk_hash: UUID
    text: str
    document_id: UUID
    url: str | None
    external_id: str | None
    is_live: bool
    corpus_id: UUID
    corpus: str
    partition_key: str
    version_id: UUID
    body_sha256: str
    body_bytes: int
    final_url: str | None
    http_status: int | None
    content_type: str
    charset: str | None
    etag: str | None
    last_modified: str | None
    fetched_at: datetime
    live_from: datetime | None
    live_to: datetime | None
    robots: dict[str, Any] | None
    extractor: str | None
    coverage: float | None
    language: str | None
    text_sha256: str | None
    item_id: UUID | None
    job_id: UUID | None
    fetch_run_id: str | None
    chunking_fp: str
    chunked_at: datetime | None
    chunk_run_id: str | None
    chunking: dict[str, Any] | None
    index_version_id: UUID | None
    index_kind: str | None
    index_state: str | None
    index_created_at: datetime | None
    serving_since: datetime | None
    relation: str | None
    model: str | None
    revision: str | None
    dimension: int | None
    fingerprint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorMaking:
    """When a chunk's vector was stored, and by which Dagster run. None: nobody noted it, or its batch aged away."""

    embedded_at: datetime | None = None
    run_id: str | None = None


async def hit_lineage(connection: AsyncConnection[TupleRow], *, caller_id: str, chunk_id: UUID) -> Lineage | None:
    """Return where a chunk comes from; None when there is none that the caller may see."""
    found = await fetch_as(connection, caller_id, query("hit_lineage"), {"chunk_id": chunk_id}, rows=class_row(Lineage))
    return found[0] if found else None


async def vector_making(connection: AsyncConnection[TupleRow], *, caller_id: str, lineage: Lineage) -> VectorMaking:
    """Return how the vector came that the chunk is found by; nothing is known of one that is not there."""
    if lineage.relation is None:
        return VectorMaking()
    statement = query_on("vector_making", lineage.relation)
    parameters = {"corpus_id": lineage.corpus_id, "chunk_hash": lineage.chunk_hash}
    try:
        found = await fetch_as(connection, caller_id, statement, parameters, rows=class_row(VectorMaking))
    except errors.UndefinedTable:  # another index serves since, and the relation is gone
        return VectorMaking()
    return found[0] if found else VectorMaking()
