"""What /readyz, /healthz and /metrics ask the database: is it at head, how long is the queue, what serves."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from resources.postgres.migrate import migration_files
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueNumbers:
    """Items over all callers: ready for work, waiting for a time, under work; run slots of live workers."""

    ready: int
    waiting: int
    leased: int
    oldest_seconds: float
    live_slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingModel:
    """A model, and how many corpora of all callers are served by it."""

    name: str
    fingerprint: str
    corpora: int


async def missing_migrations(connection: AsyncConnection[TupleRow]) -> list[str]:
    """Return the migrations this code needs that are not applied."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query("applied_migrations"))
        applied = set(await cursor.fetchall())
    return [path.name for path in migration_files() if path.name not in applied]


async def queue_numbers(connection: AsyncConnection[TupleRow]) -> QueueNumbers:
    """Count the queue over all callers."""
    async with connection.cursor(row_factory=class_row(QueueNumbers)) as cursor:
        await cursor.execute(query("queue_numbers"))
        found = await cursor.fetchone()
    assert found is not None  # a statement without WHERE has one row
    return found


async def serving_models(connection: AsyncConnection[TupleRow]) -> list[ServingModel]:
    """Return the models that serve a corpus of anybody, enabled or not."""
    async with connection.cursor(row_factory=class_row(ServingModel)) as cursor:
        await cursor.execute(query("serving_models"))
        return await cursor.fetchall()
