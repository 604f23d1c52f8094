"""What a comparison of two index versions reads, and where it is kept. Nothing here commits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector
from psycopg import Connection, sql
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.postgres.batches import IndexVersion
from resources.postgres.queries import query, query_on
from resources.postgres.search import graph_nearness, ranked
from resources.retrieval_quality import TOP_K

MOST_LABELS = 100
"""Each is two exact scans: 0.1 s of 60,000 chunks."""
SAMPLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledQuery:
    """A question and the documents that answer it; none where nobody said."""

    query: str
    relevant: list[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How searches ask an index version: its graph with this `ef_search`, or every live chunk where it has none."""

    index: IndexVersion
    dimension: int
    ef_search: int


def questions(connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion) -> list[LabelledQuery]:
    """Return the labelled queries whose documents are live; of a corpus without any, beginnings of its chunks."""
    with connection.cursor(row_factory=class_row(LabelledQuery)) as cursor:
        found = cursor.execute(query("labels_of_corpus"), {"corpus_id": corpus_id, "limit": MOST_LABELS}).fetchall()
    labelled = [each for each in found if each.relevant]
    if labelled:
        return labelled
    parameters = {"corpus_id": corpus_id, "chunking_fp": index.chunking_fp, "limit": SAMPLES}
    rows = connection.execute(query("sample_texts"), parameters).fetchall()
    return [LabelledQuery(query=row[0], relevant=[]) for row in rows]


def labelled_queries(connection: Connection[TupleRow], *, corpus_id: UUID, limit: int) -> list[str]:
    """Return the first labelled queries of a corpus, whatever of their documents is live."""
    rows = connection.execute(query("labelled_queries"), {"corpus_id": corpus_id, "limit": limit}).fetchall()
    return [row[0] for row in rows]


def nearest_documents(
    connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion, vector: npt.NDArray[np.float32]
) -> list[UUID]:
    """Return the ten nearest documents by the vectors themselves. Needs `register_vector`."""
    parameters = {
        "corpus_id": corpus_id,
        "chunking_fp": index.chunking_fp,
        "vector": HalfVector(vector),
        "top_k": TOP_K,
    }
    rows = connection.execute(query_on("nearest_documents", index.relation), parameters).fetchall()
    return [row[0] for row in rows]


def way_of(connection: Connection[TupleRow], *, index: IndexVersion, dimension: int) -> Way:
    row = connection.execute(query("ef_search_of"), {"index_version_id": index.index_version_id}).fetchone()
    assert row is not None
    return Way(index=index, dimension=dimension, ef_search=row[0])


def search_seconds(
    connection: Connection[TupleRow], *, corpus_id: UUID, way: Way, vector: npt.NDArray[np.float32]
) -> float:
    """Return how long that part of a search takes which depends on the index: what is read of the hits does not.

    Settings of this transaction change: end it after this. Needs `register_vector`.
    """
    index = way.index
    parameters = {
        "corpus_id": corpus_id,
        "chunking_fp": index.chunking_fp,
        "vector": HalfVector(vector),
        "top_k": TOP_K,
    }
    if index.has_own_relation:
        parameters["near"] = near = ranked(way.dimension, TOP_K)
        connection.execute(query("set_probed_graph_scan"), {"ef_search": str(max(way.ef_search, near))})
        statement = sql.SQL(query("nearest_distances")).format(
            relation=sql.Identifier("cixml", index.relation), nearness=graph_nearness(way.dimension)
        )
    else:
        connection.execute(query("set_hashed_scan"))
        statement = query_on("nearest_documents", index.relation)
    began = time.perf_counter()
    connection.execute(statement, parameters).fetchall()
    return time.perf_counter() - began


def keep(
    connection: Connection[TupleRow],
    *,
    index_version_id: UUID,
    comparison: Mapping[str, object],
    is_good: bool,
    error: Mapping[str, object],
) -> None:
    """Keep what was found of a ready version. One that is worse is not asked to serve any more, unless it is forced."""
    connection.execute(
        query("keep_comparison"),
        {
            "index_version_id": index_version_id,
            "comparison": Jsonb(dict(comparison)),
            "is_good": is_good,
            "error": Jsonb(dict(error)),
        },
    )
