"""How much of what is nearest a graph finds, asked of a sample of its own vectors and of queries. Nothing commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from resources.postgres.batches import IndexVersion
from resources.postgres.queries import query, query_on
from resources.postgres.search import BY_VECTORS, graph_nearness, ranked

SAMPLE = 40
"""An exact scan each: 0.3 s of 60,000 vectors of 384 dimensions."""
TOP_K = 10
EF_SEARCHES = (80, 160, 320)
MIN_RECALL = 0.95
EQUAL = 1e-6
"""Vectors as near as the last of the nearest are as good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What a search of the graph finds of the ten nearest, on average, at this `ef_search`."""

    recall: float
    ef_search: int
    queries: int

    @property
    def metadata(self) -> dict[str, int | float | str]:
        return {"recall_at_10": round(self.recall, 4), "ef_search": self.ef_search, "probed_queries": self.queries}

    @property
    def is_enough(self) -> bool:
        return self.recall >= MIN_RECALL


def tune(
    connection: Connection[TupleRow],
    *,
    index: IndexVersion,
    dimension: int,
    queries: Sequence[npt.NDArray[np.float32]] = (),
) -> Recall:
    """Take the least `ef_search` whose recall is enough, and return it; the largest where none is.

    Settings of this transaction change: end it after this. Needs `register_vector`.
    """
    connection.execute(query("set_exact_scan"))
    vectors = _sample(connection, index) + [HalfVector(each) for each in queries]
    exact = [_nearest(connection, index, vector, nearness=BY_VECTORS, near=TOP_K) for vector in vectors]
    found = Recall(recall=1.0, ef_search=EF_SEARCHES[0], queries=len(queries))
    for ef_search in EF_SEARCHES:
        found = replace(
            found, recall=_recall(connection, index, dimension, vectors, exact, ef_search), ef_search=ef_search
        )
        if found.is_enough:
            break
    parameters = {"index_version_id": index.index_version_id, "ef_search": found.ef_search}
    connection.execute(query("set_ef_search"), parameters)
    return found


def _recall(
    connection: Connection[TupleRow],
    index: IndexVersion,
    dimension: int,
    vectors: Sequence[HalfVector],
    exact: Sequence[Sequence[float]],
    ef_search: int,
) -> float:
    near, nearness = ranked(dimension, TOP_K), graph_nearness(dimension)
    connection.execute(query("set_probed_graph_scan"), {"ef_search": str(max(ef_search, near))})
    hits = 0
    for vector, truth in zip(vectors, exact, strict=True):
        found = _nearest(connection, index, vector, nearness=nearness, near=near)
        hits += sum(distance <= truth[-1] + EQUAL for distance in found)
    return hits / sum(map(len, exact)) if exact else 1.0


def _sample(connection: Connection[TupleRow], index: IndexVersion) -> list[HalfVector]:
    """Return vectors from a random place on, and from the first where that is near the end."""
    statement = query_on("sample_vectors", index.relation)
    rows: list[TupleRow] = []
    for after in (uuid4(), UUID(int=0)):
        rows += connection.execute(statement, {"after": after, "limit": SAMPLE - len(rows)}).fetchall()
    return [row[0] for row in rows]


def _nearest(
    connection: Connection[TupleRow], index: IndexVersion, vector: HalfVector, *, nearness: sql.Composable, near: int
) -> list[float]:
    statement = sql.SQL(query("nearest_distances")).format(
        relation=sql.Identifier("cixml", index.relation), nearness=nearness
    )
    rows = connection.execute(statement, {"vector": vector, "near": near, "top_k": TOP_K}).fetchall()
    return [row[0] for row in rows]
