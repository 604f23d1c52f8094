"""Removes what has aged from Dagster's own tables, a slice at a time: Dagster itself removes ticks alone.

The one module with SQL on these tables. It holds to what dagster 1.13 reads an asset's state from: the latest events of
each asset partition, their tags, and `asset_check_executions`; `asset_keys` is not touched. Nothing here commits.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query
from resources.postgres.retention import Slice

EVENTS_AT_ONCE = 5000
RUNS_AT_ONCE = 100
TICKS_AT_ONCE = 5000


def prune_events(connection: Connection[TupleRow], *, days: int, after: int | bytes | None) -> Slice:
    """Remove old events of runs that ended `days` ago, but for what they say of assets, partitions and checks."""
    return _walk(connection, query("prune_dagster_events"), days=days, after=after, limit=EVENTS_AT_ONCE)


def prune_runs(connection: Connection[TupleRow], *, days: int, after: int | bytes | None) -> Slice:
    """Remove runs that ended `days` ago with all their rows, but for those an asset's state is read from."""
    return _walk(connection, query("prune_dagster_runs"), days=days, after=after, limit=RUNS_AT_ONCE)


def prune_ticks(connection: Connection[TupleRow], *, days: int) -> Slice:
    """Remove ticks older than `days`."""
    cursor = connection.execute(query("prune_dagster_ticks"), {"days": days, "limit": TICKS_AT_ONCE})
    return Slice(removed=cursor.rowcount)


def _walk(
    connection: Connection[TupleRow], statement: LiteralString, *, days: int, after: int | bytes | None, limit: int
) -> Slice:
    with connection.cursor(row_factory=class_row(Slice)) as cursor:
        row = cursor.execute(statement, {"days": days, "after": after or 0, "limit": limit}).fetchone()
    assert row is not None
    return row
