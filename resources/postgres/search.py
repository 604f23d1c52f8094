"""Search: the live chunks of a corpus nearest to a query vector, by an exact scan or by the corpus's own graph."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector
from psycopg import AsyncConnection, errors, sql
from psycopg.rows import TupleRow, class_row

from resources.postgres.corpora import ServingIndex
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One chunk found. `score` is the cosine similarity: higher is better. Offsets count code points."""

    score: float
    chunk_id: UUID
    document_id: UUID
    url: str | None
    external_id: str | None
    title: str | None
    text: str
    ordinal: int
    start: int
    end: int
    version_id: UUID
    fetched_at: datetime
    published_at: datetime | None
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The hits, best first, and how many chunks there were to find."""

    hits: list[Hit]
    candidates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    candidates: int
    distance: float | None
    chunk_id: UUID
    document_id: UUID
    url: str | None
    external_id: str | None
    title: str | None
    text: str
    ordinal: int
    start_offset: int
    end_offset: int
    version_id: UUID
    fetched_at: datetime
    published_at: datetime | None
    metadata: dict[str, Any]


async def search(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    index: ServingIndex,
    vector: npt.NDArray[np.float32],
    top_k: int,
) -> Found | None:
    """Return min(top_k, live chunks) hits; None when `index` no longer serves: look it up again.

    One round trip. A graph that was left before it gave enough is asked exactly: what is dead near the query, or does
    not match, may use up its scan.
    """
    if index.kind == "hnsw":
        found = await _search(connection, caller_id, index, vector, top_k, is_exact=False)
        if found is None or len(found.hits) >= min(top_k, found.candidates):
            return found
    return await _search(connection, caller_id, index, vector, top_k, is_exact=True)


async def _search(
    connection: AsyncConnection[TupleRow],
    caller_id: str,
    index: ServingIndex,
    vector: npt.NDArray[np.float32],
    top_k: int,
    *,
    is_exact: bool,
) -> Found | None:
    parameters = {
        "index_version": index.id,
        "corpus_id": index.corpus_id,
        "chunking_fp": index.chunking_fp,
        "vector": HalfVector(vector),
        "top_k": top_k,
    }
    try:
        rows = await fetch_as(
            connection,
            caller_id,
            _statement("search_exact" if is_exact else "search_hnsw", index.relation),
            parameters,
            rows=class_row(_Row),
            corpus_id=index.corpus_id,
            ef_search=None if is_exact else max(index.ef_search, top_k),
        )
    except errors.UndefinedTable:
        return None
    if not rows:
        return None
    return Found(
        hits=[_hit(row, row.distance) for row in rows if row.distance is not None], candidates=rows[0].candidates
    )


@lru_cache(maxsize=256)
def _statement(name: str, relation: str) -> sql.Composed:
    return sql.SQL(query(name)).format(relation=sql.Identifier("cixml", relation))


def _hit(row: _Row, distance: float) -> Hit:
    return Hit(
        score=-distance,
        chunk_id=row.chunk_id,
        document_id=row.document_id,
        url=row.url,
        external_id=row.external_id,
        title=row.title,
        text=row.text,
        ordinal=row.ordinal,
        start=row.start_offset,
        end=row.end_offset,
        version_id=row.version_id,
        fetched_at=row.fetched_at,
        published_at=row.published_at,
        metadata=row.metadata,
    )
