"""The table `models`: a mirror of models.toml, so that rows can refer to a model and find its vector relation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query
from resources.types import ModelRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """What the mirror needs of one entry of models.toml. `slug` is lower case, `[a-z0-9_]`."""

    name: str
    slug: str
    revision: str
    fingerprint: str
    dimension: int
    max_tokens: int
    is_enabled: bool


def mirror_models(connection: Connection[TupleRow], entries: Iterable[ModelEntry]) -> list[ModelRow]:
    """Make the table equal to the file: new fingerprints get a row, the rest is disabled. Returns the enabled rows."""
    entries = list(entries)
    connection.execute(
        query("disable_missing_models"), {"fingerprints": [e.fingerprint for e in entries if e.is_enabled]}
    )
    for entry in entries:
        connection.execute(
            query("upsert_model"),
            {
                "name": entry.name,
                "fingerprint": entry.fingerprint,
                "revision": entry.revision,
                "dimension": entry.dimension,
                "max_tokens": entry.max_tokens,
                "relation": f"vectors_{entry.slug[:40]}_{entry.fingerprint[:8]}",
                "is_enabled": entry.is_enabled,
            },
        )
    return enabled_models(connection)


def enabled_models(connection: Connection[TupleRow]) -> list[ModelRow]:
    """Return the models that have an asset."""
    with connection.cursor(row_factory=class_row(ModelRow)) as cursor:
        return cursor.execute(query("enabled_models")).fetchall()


async def enabled_models_async(connection: AsyncConnection[TupleRow]) -> list[ModelRow]:
    """Return the models that have an asset."""
    async with connection.cursor(row_factory=class_row(ModelRow)) as cursor:
        await cursor.execute(query("enabled_models"))
        return await cursor.fetchall()


def corpora_served(connection: Connection[TupleRow]) -> dict[str, int]:
    """Return, by the fingerprint of a model, how many corpora of all callers it serves."""
    rows = connection.execute(query("serving_models")).fetchall()
    return {fingerprint: corpora for _, fingerprint, corpora in rows}


def waiting_versions(connection: Connection[TupleRow], *, fingerprint: str) -> int:
    """Return how many index versions by a model are building or ready."""
    row = connection.execute(query("waiting_versions"), {"fingerprint": fingerprint}).fetchone()
    assert row is not None
    return int(row[0])
