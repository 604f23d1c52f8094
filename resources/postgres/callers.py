"""The callers known to the database: a row each, made by the first thing a caller submits."""

from __future__ import annotations

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from resources.postgres.queries import query
from resources.types import CallerContext


async def ensure_caller(connection: AsyncConnection[TupleRow], caller: CallerContext) -> None:
    """Make the caller's row where it is missing."""
    await connection.execute(
        query("ensure_caller"), {"caller_id": caller.caller_id, "caller_type": caller.caller_type.value}
    )
