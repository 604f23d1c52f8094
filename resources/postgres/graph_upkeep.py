"""What becomes of a graph that serves: what came since its build stands beside it, what left it keeps its room there.

A search scans what is beside exactly. Few rows are merged into the graph; many, or many that left, and it is built anew
(resources/postgres/promotions.py). Nothing here commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query, query_on

MERGE_SHARE = 0.25
"""Of the rows at which a corpus gets a graph: so many beside it, a quarter of what a scan may cost, are merged."""
MOST_MERGED = 0.15
"""Of a graph's rows. A row costs 1.2 ms of Postgres there, three times what it costs in a build."""
MOST_DEAD = 0.5
"""Of a graph's rows: with more that left it, it is built anew. Scans pass over them, their room stays."""
SLACK_ROWS = 1000
URGENT = 5
"""So many times over the threshold a build no longer waits for the load to end: 20,000 rows of 384 dimensions, scanned
in tens of milliseconds a search."""
WORTH_BUILDING = 0.5
"""Of what a graph was built over: where less came since, merging costs no more than a build would."""
SLICE = 100
"""Rows merged under one lock: some 0.12 s in which no page of the corpus is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingGraph:
    """The index version that serves a corpus by a graph; rows merged and rows that left are counted since its build."""

    index_version_id: UUID
    relation: str
    dimension: int
    built_rows: int
    merged_rows: int
    dead_rows: int

    @property
    def rows(self) -> int:
        return max(0, self.built_rows + self.merged_rows - self.dead_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What a graph needs. One that `merges` is not `is_outgrown`."""

    is_outgrown: bool = False
    is_urgent: bool = False
    merges: bool = False


NOTHING = Upkeep()


def needs(graph: ServingGraph, *, beside: int, threshold: int) -> Upkeep:
    """Judge a graph by the rows beside it. `threshold`: rows at which a corpus gets a graph."""
    rows = graph.rows
    is_worn = graph.dead_rows > MOST_DEAD * rows + SLACK_ROWS
    if beside > URGENT * threshold:
        is_worth_it = graph.merged_rows + beside >= WORTH_BUILDING * graph.built_rows or is_worn
        return Upkeep(is_outgrown=is_worth_it, is_urgent=is_worth_it, merges=not is_worth_it)
    may_merge = graph.merged_rows + beside <= MOST_MERGED * rows
    if is_worn or (beside > threshold and not may_merge):
        return Upkeep(is_outgrown=True)
    return Upkeep(merges=may_merge and beside > MERGE_SHARE * threshold)


def serving_graph(connection: Connection[TupleRow], *, corpus_id: UUID) -> ServingGraph | None:
    """Return what serves a corpus; None where that is no graph."""
    with connection.cursor(row_factory=class_row(ServingGraph)) as cursor:
        return cursor.execute(query("serving_graph"), {"corpus_id": corpus_id}).fetchone()


def count_beside(connection: Connection[TupleRow], *, graph: ServingGraph) -> int:
    """Return how many vectors are not in the graph."""
    row = connection.execute(query_on("count_unmerged", graph.relation)).fetchone()
    assert row is not None
    return int(row[0])


def merge_slice(connection: Connection[TupleRow], *, graph: ServingGraph) -> int:
    """Insert a slice of what is beside the graph into it, and return how many rows that was; below SLICE: the last.

    For who holds the corpus's lock alone and read `graph` under it.
    """
    statement = sql.SQL(query("merge_vectors")).format(
        relation=sql.Identifier("cixml", graph.relation), graph=sql.Identifier("cixml", f"{graph.relation}_graph")
    )
    row = connection.execute(statement, {"index_version_id": graph.index_version_id, "limit": SLICE}).fetchone()
    assert row is not None
    return int(row[0])
