"""The advisory lock of a corpus, held to the end of a transaction.

Whoever stores pages, chunks or vectors, or makes versions live, shares it; whoever deletes, takes vectors away or
changes what serves holds it alone, briefly. Row locks are not enough: a sweep would not see the version, not yet
committed, that relies on the hash it removes.
"""

from __future__ import annotations

from uuid import UUID

from psycopg import Connection, errors
from psycopg.rows import TupleRow

from resources.postgres.queries import query


def share(connection: Connection[TupleRow], *, corpus_id: UUID) -> None:
    """Keep index flips and sweeps of the corpus out."""
    connection.execute(query("lock_corpus_shared"), {"corpus_id": corpus_id})


def try_take(connection: Connection[TupleRow], *, corpus_id: UUID) -> bool:
    """Keep every writer of the corpus out, unless one is at work: nobody waits for this, and it waits for nobody."""
    row = connection.execute(query("try_lock_corpus"), {"corpus_id": corpus_id}).fetchone()
    return bool(row and row[0])


def take(connection: Connection[TupleRow], *, corpus_id: UUID, wait_seconds: float) -> bool:
    """Keep every writer of the corpus out. They queue behind this, so it gives up after `wait_seconds`."""
    try:
        with connection.transaction():
            connection.execute(query("set_lock_timeout"), {"milliseconds": str(int(wait_seconds * 1000))})
            connection.execute(query("lock_corpus"), {"corpus_id": corpus_id})
    except errors.LockNotAvailable:
        return False
    return True
