"""LISTEN on the channel that says there may be work: a job was submitted, a slot is free, a worker came."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.postgres.queries import query


def listen(connection: Connection[TupleRow]) -> None:
    """Subscribe this session. Call it before the first look at the queue, or a notification is lost. Idempotent."""
    connection.execute(query("listen_jobs"))


def wait_for_work(connection: Connection[TupleRow], *, seconds: float) -> bool:
    """Wait for a notification up to `seconds`; True when one came. Those that came before are taken at once."""
    return any(True for _ in connection.notifies(timeout=seconds, stop_after=1))
