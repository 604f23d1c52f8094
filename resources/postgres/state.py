"""What /metrics asks the two databases, at each scrape; and the beat of processes of which one works at a time."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query

LIFELINE = "lifeline"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateNumber:
    """The value of a gauge for one value of its label, empty where it has none."""

    metric: str
    label: str
    number: float


async def state_numbers(connection: AsyncConnection[TupleRow]) -> list[StateNumber]:
    """Return the gauges of the product's database, over all callers."""
    async with connection.cursor(row_factory=class_row(StateNumber)) as cursor:
        await cursor.execute(query("state_numbers"))
        return await cursor.fetchall()


async def dagster_state_numbers(connection: AsyncConnection[TupleRow]) -> list[StateNumber]:
    """Return the gauges of Dagster's own database."""
    async with connection.cursor(row_factory=class_row(StateNumber)) as cursor:
        await cursor.execute(query("dagster_state_numbers"))
        return await cursor.fetchall()


def beat(connection: Connection[TupleRow], *, part: str) -> None:
    """Note that the part works."""
    connection.execute(query("beat_part"), {"part": part})
