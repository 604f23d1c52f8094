"""Session advisory locks: held by a process as long as its connection lives."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.postgres.queries import query

LIFELINE = 0x6C6966656C696E65  # "lifeline"
"""Who holds it reaps, lapses, sweeps; others wait for their turn."""


def try_lock(connection: Connection[TupleRow], *, key: int) -> bool:
    """Take the lock unless another session holds it. Taking it again in the same session is fine."""
    row = connection.execute(query("try_session_lock"), {"key": key}).fetchone()
    return bool(row and row[0])
