"""The audit record: who asked for what, when, and how it ended. No key, no body, no query text.

Rows are inserted for any caller and read by an operator alone: row-level security asks for the operator's setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import LiteralString, TypeVar
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import AsyncRowFactory, TupleRow, class_row, scalar_row
from psycopg.types.json import Jsonb

from resources.postgres.corpora import COUNT_CAP
from resources.postgres.queries import query

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One access. `route` is a template, `ids` what stood in its places; no `caller_id`: the key was unknown."""

    id: UUID
    at: datetime
    caller_id: str | None
    peer: str
    method: str
    route: str
    ids: dict[str, str]
    status: int
    request_id: str
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which records a list holds; None does not filter."""

    caller_id: str | None = None
    method: str | None = None
    route: str | None = None
    status: int | None = None
    request_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def insert_audit(connection: AsyncConnection[TupleRow], records: Sequence[AuditRecord]) -> None:
    """Insert records in one statement; those that are there already stay as they are."""
    columns = {
        name: [getattr(record, name) for record in records]
        for name in ("id", "at", "caller_id", "peer", "method", "route", "status", "request_id", "trace_id")
    }
    await connection.execute(query("insert_audit"), columns | {"ids": [Jsonb(record.ids) for record in records]})


async def list_audit(
    connection: AsyncConnection[TupleRow], *, where: AuditFilter, before: UUID | None, limit: int
) -> list[AuditRecord]:
    """Return records, the newest first, that come after the place `before` in that order."""
    parameters = asdict(where) | {"before": before, "limit": limit}
    return await _fetch(connection, query("list_audit"), parameters, class_row(AuditRecord))


async def count_audit(connection: AsyncConnection[TupleRow], *, where: AuditFilter) -> int:
    """Count the records that pass the filter, up to COUNT_CAP."""
    found = await _fetch(connection, query("count_audit"), asdict(where) | {"cap": COUNT_CAP}, scalar_row)
    return int(found[0])


async def _fetch(
    connection: AsyncConnection[TupleRow],
    statement: LiteralString,
    parameters: Mapping[str, object],
    rows: AsyncRowFactory[Row],
) -> list[Row]:
    """Run one reading statement as an operator, in one round trip and so in one transaction."""
    async with connection.pipeline():
        await connection.execute(query("set_operator"))
        cursor = connection.cursor(row_factory=rows)
        await cursor.execute(statement, parameters)
    return await cursor.fetchall()
