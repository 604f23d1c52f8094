"""Search: the live chunks of a corpus nearest to a vector (by an exact scan or its graph), or best by their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, LiteralString
from uuid import UUID

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector
from psycopg import AsyncConnection, errors, sql
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.lexemes import AskedWord
from resources.postgres.corpora import ServingIndex
from resources.postgres.lexemes import corpus_mark
from resources.postgres.pool import Planning, fetch_as, one_plan
from resources.postgres.queries import query, query_on

MOST_INDEXED_NUMBERS = 4000
"""HNSW over halfvec takes no wider vectors: their graph is over the signs of the numbers, a bit each."""
BY_VECTORS = sql.SQL("e.embedding <#> %(vector)b")
BY_SIGNS = sql.SQL("binary_quantize(e.embedding)::bit({signs}) <~> binary_quantize(%(vector)b)")
RANKED_FOR_EACH = 10
LEAST_RANKED = 200
"""So many of a graph over signs are ranked by their vectors: of 30,000 of 4,096 dimensions recall@10 is 0.70 of 10,
0.95 of 40, 0.988 of 100, 0.997 of 200. Each costs the reading of its vector, some 20 microseconds."""

MOST_KEPT = 1000
"""The largest ef_search; the scan goes on beyond."""
MOST_SCANNED = 20_000
MOST_SCANNED_FILTERED = 3_000
"""Rows of a graph. What passes a narrow filter is found sooner by reading what passes it: the scan gives up early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One chunk found. `score` is higher for the better: the cosine similarity, or BM25. Offsets count code points."""

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
    language: str | None
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What documents must pass: a jsonpath over cixml.document_facts, and the values of its variables."""

    path: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The hits, best first, and how many chunks there were to find."""

    hits: list[Hit]
    candidates: int
    from_graph: int = 0

    def is_whole(self, asked: int, *, is_filtered: bool) -> bool:
        """Return whether a search by a graph gave what there is.

        With a filter its scan is left early: what is beside the graph may fill its place, and is not what is nearest.
        """
        return (self.from_graph if is_filtered else len(self.hits)) >= asked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    candidates: int
    score: float | None
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
    language: str | None
    metadata: dict[str, Any]
    distance: float | None = None
    in_graph: bool | None = None
    from_graph: int | None = None
    is_complete: bool | None = None


def graph_nearness(dimension: int) -> sql.Composable:
    """Return what a graph of vectors of so many dimensions is ordered by: the vectors, or their signs."""
    return BY_VECTORS if dimension <= MOST_INDEXED_NUMBERS else BY_SIGNS.format(signs=sql.Literal(dimension))


def ranked(dimension: int, top_k: int) -> int:
    """Return how many of a graph's nearest are ranked by their vectors for `top_k` hits."""
    return top_k if dimension <= MOST_INDEXED_NUMBERS else max(LEAST_RANKED, RANKED_FOR_EACH * top_k)


async def search(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    index: ServingIndex,
    vector: npt.NDArray[np.float32],
    top_k: int,
    where: Filter | None = None,
) -> Found | None:
    """Return min(top_k, live chunks that pass) hits; None when `index` no longer serves: look it up again.

    One round trip. A graph that was left before it gave enough is asked exactly: what is dead near the query, or does
    not pass, may use up its scan.
    """
    parameters = _parameters(index, top_k, where) | {"vector": HalfVector(vector)}
    if index.kind == "hnsw":
        near = ranked(index.dimension, top_k)
        most = MOST_SCANNED if where is None else MOST_SCANNED_FILTERED
        kept = min(max(index.ef_search, near), MOST_KEPT)
        scan = Planning(query("set_graph_scan"), {"ef_search": str(kept), "max_scan_tuples": str(most)})
        graph = _graph(index.relation, index.dimension)
        found = _found(await _rows(connection, caller_id, index, graph, parameters | {"near": near}, scan))
        if found is None or found.is_whole(min(top_k, found.candidates), is_filtered=where is not None):
            return found
    exact = query_on("search_exact", index.relation)
    hashed = (
        Planning(query("set_hashed_scan")) if index.kind == "exact" else None
    )  # of a large corpus a filter lets few pass
    return _found(await _rows(connection, caller_id, index, exact, parameters, hashed))


async def search_keywords(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    index: ServingIndex,
    words: Sequence[AskedWord],
    top_k: int,
    where: Filter | None = None,
) -> Found | None:
    """Return the min(top_k, live chunks that pass and have one of the words) best by BM25; None as `search` does.

    One round trip, as a rule: what the rarest words select is enough, or else all words select.
    """
    parameters = _parameters(index, top_k, where) | {
        "mark": corpus_mark(index.corpus_id),
        "words": [word.word for word in words],
        "lexemes": [word.lexeme for word in words],
        "languages": [word.language for word in words],
        "dictionaries": [word.dictionary for word in words],
    }
    statement = query("search_keyword")
    for is_bounded in (True, False):
        bounded = parameters | {"is_bounded": is_bounded}
        rows = await _rows(connection, caller_id, index, statement, bounded, one_plan())
        found = _found(rows)
        if found is None or len(found.hits) >= top_k or (rows and rows[0].is_complete):
            break
    return found


def _parameters(index: ServingIndex, top_k: int, where: Filter | None) -> dict[str, object]:
    return {
        "index_version": index.id,
        "corpus_id": index.corpus_id,
        "chunking_fp": index.chunking_fp,
        "top_k": top_k,
        "filter": where.path if where else None,
        "values": Jsonb(where.values if where else {}),
    }


async def _rows(
    connection: AsyncConnection[TupleRow],
    caller_id: str,
    index: ServingIndex,
    statement: LiteralString | sql.Composed,
    parameters: Mapping[str, object],
    planning: Planning | None,
) -> list[_Row]:
    try:
        return await fetch_as(
            connection,
            caller_id,
            statement,
            parameters,
            rows=class_row(_Row),
            corpus_id=index.corpus_id,
            planning=planning,
        )
    except errors.UndefinedTable:
        return []


@lru_cache(maxsize=256)
def _graph(relation: str, dimension: int) -> sql.Composed:
    statement = sql.SQL(query("search_hnsw"))
    return statement.format(
        relation=sql.Identifier("cixml", relation),
        graph=sql.Identifier("cixml", f"{relation}_graph"),
        live=sql.SQL(query("live_of_hash")),
        nearness=graph_nearness(dimension),
    )


def _found(rows: Sequence[_Row]) -> Found | None:
    if not rows:
        return None
    hits = [_hit(row, row.score) for row in rows if row.score is not None]
    return Found(hits=hits, candidates=rows[0].candidates, from_graph=rows[0].from_graph or 0)


def _hit(row: _Row, score: float) -> Hit:
    return Hit(
        score=score,
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
        language=row.language,
        metadata=row.metadata,
    )
