"""What `cixml doctor` asks Postgres: is the installation whole, does somebody work. Reads alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import Connection, errors
from psycopg.rows import TupleRow, class_row

from resources.postgres.health import QueueNumbers
from resources.postgres.locks import LIFELINE
from resources.postgres.migrate import migration_files
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A server as a login sees it. `sees_everything`: row-level security does not hold the login."""

    server_version: int
    pgvector_version: str | None
    sees_everything: bool
    connections: int
    max_connections: int
    has_lifeline: bool


def look(connection: Connection[TupleRow]) -> Installation:
    """Return what the server is and whether lifeline runs."""
    with connection.cursor(row_factory=class_row(Installation)) as cursor:
        found = cursor.execute(query("installation"), {"lifeline_key": LIFELINE}).fetchone()
    assert found is not None  # a statement without FROM has one row
    return found


def missing_migrations(connection: Connection[TupleRow]) -> list[str]:
    """Return the migrations this code needs that are not applied: all, where there is no schema yet."""
    try:
        with connection.transaction():
            applied = {name for (name,) in connection.execute(query("applied_migrations")).fetchall()}
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        applied = set()
    return [path.name for path in migration_files() if path.name not in applied]


def queue(connection: Connection[TupleRow]) -> QueueNumbers:
    """Count the queue over all callers."""
    with connection.cursor(row_factory=class_row(QueueNumbers)) as cursor:
        found = cursor.execute(query("queue_numbers")).fetchone()
    assert found is not None  # a function of one row
    return found


def daemon_heartbeats(connection: Connection[TupleRow]) -> Mapping[str, float]:
    """Return how many seconds ago each daemon beat, as Dagster's own database has it; empty before its first start."""
    try:
        with connection.transaction():
            return dict(connection.execute(query("daemon_heartbeats")).fetchall())
    except errors.UndefinedTable:
        return {}
