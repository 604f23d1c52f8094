"""The table `stale_hashes`, and the removal of vectors that no chunk uses: a relation holds hashes of live chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection, errors
from psycopg.rows import TupleRow

from resources.postgres import corpus_lock
from resources.postgres.batches import IndexVersion
from resources.postgres.queries import query, query_on

LOCK_WAIT_MILLISECONDS = 200
SLICE = 500
"""Hashes looked at under one lock: some 10 ms in which no page of the corpus is stored."""


def queue(connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion) -> int:
    """Queue every vector of a relation that no chunk uses, and return how many; reads the whole corpus."""
    return connection.execute(query_on("queue_stale_hashes", index.relation), {"corpus_id": corpus_id}).rowcount


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one slice removed, and whether to go on with another."""

    vectors: int = 0
    goes_on: bool = False


def sweep(connection: Connection[TupleRow], *, corpus_id: UUID) -> Swept:
    """Remove the vectors of one slice of the queue from what the corpus has.

    What a live chunk uses stays, and what a version uses that may still go live: its vectors are paid for. While an
    index is being built the queue waits: the copy would keep what leaves the original.
    """
    if not corpus_lock.try_take(connection, corpus_id=corpus_id) or is_building(connection, corpus_id=corpus_id):
        return Swept()
    try:
        with connection.transaction():
            connection.execute(query("set_lock_timeout"), {"milliseconds": str(LOCK_WAIT_MILLISECONDS)})
            row = connection.execute(query("take_stale_hashes"), {"corpus_id": corpus_id, "limit": SLICE}).fetchone()
            taken, unused = row or (0, [])
            return Swept(vectors=_delete(connection, corpus_id, unused), goes_on=taken == SLICE)
    except errors.LockNotAvailable:  # a graph is being built over one of the relations: every writer would wait for it
        return Swept()


def remove(connection: Connection[TupleRow], *, corpus_id: UUID, hashes: Sequence[UUID]) -> int:
    """Remove the vectors of those of these hashes that no chunk uses any more, and return how many went.

    For who holds the corpus's lock alone and has made sure that no index is being built.
    """
    rows = connection.execute(query("unused_hashes"), {"corpus_id": corpus_id, "hashes": list(hashes)}).fetchall()
    return _delete(connection, corpus_id, [row[0] for row in rows])


def is_building(connection: Connection[TupleRow], *, corpus_id: UUID) -> bool:
    """Return whether a run copies the corpus's vectors into an index just now."""
    row = connection.execute(query("is_building"), {"corpus_id": corpus_id}).fetchone()
    return bool(row and row[0])


def _delete(connection: Connection[TupleRow], corpus_id: UUID, unused: Sequence[UUID]) -> int:
    removed = 0
    if unused:
        for (relation,) in connection.execute(query("relations_of_corpus"), {"corpus_id": corpus_id}).fetchall():
            parameters = {"corpus_id": corpus_id, "hashes": list(unused), "relation": relation}
            row = connection.execute(query_on("delete_vectors", relation), parameters).fetchone()
            removed += row[0] if row else 0
    return removed
