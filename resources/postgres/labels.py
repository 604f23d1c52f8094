"""Labels of a corpus: questions and the documents that answer them, by which index versions are compared.

The pipeline reads them in resources/postgres/comparisons.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.postgres.pool import fetch_as
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLabel:
    """A question, and the documents that answer it, as they were named."""

    query: str
    relevant: list[str]


async def put_labels(
    connection: AsyncConnection[TupleRow], *, corpus_id: UUID, labels: Sequence[Mapping[str, object]]
) -> None:
    """Replace the labels of a corpus in an owner's transaction, and forget what was found by those before."""
    await connection.execute(query("remove_labels"), {"corpus_id": corpus_id})
    await connection.execute(query("forget_comparisons"), {"corpus_id": corpus_id})
    await connection.execute(query("put_labels"), {"corpus_id": corpus_id, "labels": Jsonb(list(labels))})


async def read_labels(connection: AsyncConnection[TupleRow], *, caller_id: str, corpus_id: UUID) -> list[StoredLabel]:
    """Return the labels of a corpus that the caller may see."""
    parameters = {"corpus_id": corpus_id}
    return await fetch_as(connection, caller_id, query("read_labels"), parameters, rows=class_row(StoredLabel))
