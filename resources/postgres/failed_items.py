"""A caller's dead letters: items that failed for good, over all its jobs; and one item by its id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from resources.postgres.corpora import COUNT_CAP, CorpusKey
from resources.postgres.jobs import JobItem
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedItem(JobItem):
    """An item with its job and its corpus's address."""

    job_id: UUID
    corpus: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedItemFilter:
    """Which failed items a list holds; None does not filter."""

    corpus: CorpusKey | None = None
    stages: list[str] | None = None
    codes: list[str] | None = None
    created_after: datetime | None = None

    def parameters(self) -> dict[str, Any]:
        return {
            "owner": self.corpus.owner if self.corpus else None,
            "name": self.corpus.name if self.corpus else None,
            "failed_stages": self.stages,
            "codes": self.codes,
            "created_after": self.created_after,
        }


async def list_failed_items(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    where: FailedItemFilter,
    before_id: UUID | None,
    limit: int,
) -> list[PlacedItem]:
    """Return the caller's failed items, the newest first."""
    parameters = where.parameters() | {"before_id": before_id, "limit": limit}
    return await fetch_as(connection, caller_id, query("list_failed_items"), parameters, rows=class_row(PlacedItem))


async def count_failed_items(connection: AsyncConnection[TupleRow], *, caller_id: str, where: FailedItemFilter) -> int:
    """Count the caller's failed items, up to COUNT_CAP."""
    parameters = where.parameters() | {"cap": COUNT_CAP}
    found = await fetch_as(connection, caller_id, query("count_failed_items"), parameters, rows=scalar_row)
    return int(found[0])


async def get_item(connection: AsyncConnection[TupleRow], *, caller_id: str, item_id: UUID) -> PlacedItem | None:
    """Return one item of the caller, whatever its state."""
    found = await fetch_as(connection, caller_id, query("get_item"), {"item_id": item_id}, rows=class_row(PlacedItem))
    return found[0] if found else None
