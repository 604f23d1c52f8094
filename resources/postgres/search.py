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
from resources.postgres.queries import query, query_on

MOST_INDEXED_NUMBERS = 4000
"""HNSW over halfvec takes no wider vectors: their graph is over the signs of the numbers, a bit each."""
BY_VECTORS = sql.SQL("e.embedding <#> %(vector)b")
BY_SIGNS = sql.SQL("binary_quantize(e.embedding)::bit({signs}) <~> binary_quantize(%(vector)b)")
RANKED_FOR_EACH = 10
LEAST_RANKED = 200
"""So many of a graph over signs are ranked by their vectors: of 30,000 of 4,096 dimensions recall@10 is 0.70 of 10,
0.95 of 40, 0.988 of 100, 0.997 of 200. Each costs the reading of its vector, some 20 microseconds."""


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
    is_by_signs = not is_exact and index.dimension > MOST_INDEXED_NUMBERS
    near = max(LEAST_RANKED, RANKED_FOR_EACH * top_k) if is_by_signs else top_k
    parameters = {
        "near": near,
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
            query_on("search_exact", index.relation)
            if is_exact
            else _graph(index.relation, index.dimension if is_by_signs else None),
            parameters,
            rows=class_row(_Row),
            corpus_id=index.corpus_id,
            ef_search=None if is_exact else max(index.ef_search, near),
        )
    except errors.UndefinedTable:
        return None
    if not rows:
        return None
    return Found(
        hits=[_hit(row, row.distance) for row in rows if row.distance is not None], candidates=rows[0].candidates
    )


@lru_cache(maxsize=256)
def _graph(relation: str, signs: int | None) -> sql.Composed:
    """Return the search of a graph: over the vectors, or over so many signs."""
    nearness = BY_VECTORS if signs is None else BY_SIGNS.format(signs=sql.Literal(signs))
    return sql.SQL(query("search_hnsw")).format(relation=sql.Identifier("cixml", relation), nearness=nearness)


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
