"""The numbers of /metrics that are in the databases: read at a scrape, or noted before by lifeline. It beats here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query, query_on
from resources.telemetry.attributes import ORPHANS

LIFELINE = "lifeline"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateNumber:
    """The value of a gauge for one value of its label, empty where it has none."""

    metric: str
    label: str
    number: float


async def state_numbers(connection: AsyncConnection[TupleRow]) -> list[StateNumber]:
    """Return the gauges of the product's database, over all callers, and what lifeline noted."""
    async with connection.cursor(row_factory=class_row(StateNumber)) as cursor:
        await cursor.execute(query("state_numbers"))
        return await cursor.fetchall()


def dagster_numbers(connection: Connection[TupleRow]) -> list[StateNumber]:
    """Return the gauges of Dagster's own database."""
    with connection.cursor(row_factory=class_row(StateNumber)) as cursor:
        return cursor.execute(query("dagster_numbers")).fetchall()


def orphans(connection: Connection[TupleRow]) -> list[StateNumber]:
    """Count what deletions should have removed, by layer."""
    with connection.cursor(row_factory=class_row(StateNumber)) as cursor:
        found = cursor.execute(query("orphans")).fetchall()
    vectors = 0
    for (relation,) in connection.execute(query("exact_relations")).fetchall():
        row = connection.execute(query_on("orphan_vectors", relation)).fetchone()
        vectors += row[0] if row else 0
    return [*found, StateNumber(metric=ORPHANS, label="vectors", number=vectors)]


def note(connection: Connection[TupleRow], numbers: Sequence[StateNumber], *, valid_seconds: float) -> None:
    """Keep numbers for scrapes, to be believed so long."""
    parameters = {
        "metrics": [each.metric for each in numbers],
        "labels": [each.label for each in numbers],
        "numbers": [float(each.number) for each in numbers],
        "valid_seconds": valid_seconds,
    }
    connection.execute(query("note_numbers"), parameters)


def beat(connection: Connection[TupleRow], *, part: str) -> None:
    """Note that the part works."""
    connection.execute(query("beat_part"), {"part": part})
