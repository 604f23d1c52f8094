"""The table `stale_hashes`, and the removal of vectors that no chunk uses: a relation holds hashes of live chunks."""

from __future__ import annotations

from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.postgres import corpus_lock
from resources.postgres.batches import IndexVersion
from resources.postgres.queries import query, query_on

SLICE = 500
"""Hashes looked at under one lock: some 10 ms in which no page of the corpus is stored."""


def queue(connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion) -> int:
    """Queue every vector of a relation that no chunk uses, and return how many; reads the whole corpus."""
    return connection.execute(query_on("queue_stale_hashes", index.relation), {"corpus_id": corpus_id}).rowcount


def sweep(connection: Connection[TupleRow], *, corpus_id: UUID) -> bool:
    """Remove the vectors of one slice of the queue from what the corpus has; return whether to go on with another.

    What a live chunk uses stays, and what a version uses that may still go live: its vectors are paid for. While an
    index is being built the queue waits: the copy would keep what leaves the original.
    """
    if not corpus_lock.try_take(connection, corpus_id=corpus_id) or _is_building(connection, corpus_id):
        return False
    row = connection.execute(query("take_stale_hashes"), {"corpus_id": corpus_id, "limit": SLICE}).fetchone()
    taken, unused = row or (0, [])
    if unused:
        for (relation,) in connection.execute(query("relations_of_corpus"), {"corpus_id": corpus_id}).fetchall():
            connection.execute(query_on("delete_vectors", relation), {"corpus_id": corpus_id, "hashes": unused})
    return bool(taken == SLICE)


def _is_building(connection: Connection[TupleRow], corpus_id: UUID) -> bool:
    row = connection.execute(query("is_building"), {"corpus_id": corpus_id}).fetchone()
    return bool(row and row[0])
