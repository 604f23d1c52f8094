"""The table `workers`: who takes runs, how many at once. A row older than 15 seconds counts for nothing."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.postgres.queries import query


def beat(connection: Connection[TupleRow], *, worker_id: str, queues: list[str], slots: int) -> None:
    """Renew the worker's row; wake the sensor when the worker is new."""
    connection.execute(query("beat_worker"), {"id": worker_id, "queues": queues, "slots": slots})


def leave(connection: Connection[TupleRow], *, worker_id: str) -> None:
    """Remove the worker's row: it takes no more runs."""
    connection.execute(query("leave_worker"), {"id": worker_id})
