"""Deletion as callers ask for it: the tombstone and its receipt, in one transaction of the caller.

What is deleted is out of every search, list and claim with that commit. Its rows are removed afterwards (deletions.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row
from psycopg.types.json import Jsonb

from resources.postgres.pool import fetch_as
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a deletion. `corpus` is the address by which the caller named it."""

    id: UUID
    kind: str
    corpus: str
    status: str
    removed: Mapping[str, int]
    waits_for: str | None
    requested_at: datetime
    finished_at: datetime | None
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFilter:
    """Which documents: those that pass every condition that is not None."""

    document_id: UUID | None = None
    url_prefix: str | None = None
    external_ids: Sequence[str] | None = None
    language: str | None = None
    fetched_before: datetime | None = None
    metadata: Mapping[str, object] | None = None

    def parameters(self) -> dict[str, object]:
        """Return the conditions as a statement takes them."""
        found: dict[str, object] = asdict(self)
        found["metadata"] = None if self.metadata is None else Jsonb(dict(self.metadata))
        return found


async def delete_corpus(
    connection: AsyncConnection[TupleRow], *, corpus_id: UUID, version: int | None, address: str, traceparent: str
) -> Receipt | None:
    """Delete a corpus in an owner's transaction; None when somebody deleted it, or changed it since `version`.

    The lock drains who writes in the corpus just now; its name is free with the commit.
    """
    await connection.execute(query("lock_corpus"), {"corpus_id": corpus_id})
    parameters = {"corpus_id": corpus_id, "version": version, "address": address, "traceparent": traceparent}
    return await _receipt(connection, "delete_corpus", parameters)


async def delete_documents(
    connection: AsyncConnection[TupleRow], *, corpus_id: UUID, address: str, where: DocumentFilter, traceparent: str
) -> Receipt | None:
    """Delete documents in a writer's transaction. None: `where` names one document, and there is none such;
    or the corpus was deleted just now.
    """
    await connection.execute(query("lock_corpus"), {"corpus_id": corpus_id})
    kind = "documents" if where.document_id is None else "document"
    parameters = {"corpus_id": corpus_id, "address": address, "kind": kind, "traceparent": traceparent}
    return await _receipt(connection, "delete_documents", parameters | where.parameters())


async def count_matching(
    connection: AsyncConnection[TupleRow], *, caller_id: str, corpus_id: UUID, where: DocumentFilter
) -> int:
    """Return how many documents `delete_documents` would delete now."""
    parameters = {"corpus_id": corpus_id} | where.parameters()
    found = await fetch_as(connection, caller_id, query("matching_documents"), parameters, rows=scalar_row)
    return int(found[0])


async def get_receipt(connection: AsyncConnection[TupleRow], *, caller_id: str, receipt_id: UUID) -> Receipt | None:
    """Return one receipt of the caller."""
    parameters = {"receipt_id": receipt_id}
    found = await fetch_as(connection, caller_id, query("get_receipt"), parameters, rows=class_row(Receipt))
    return found[0] if found else None


async def _receipt(
    connection: AsyncConnection[TupleRow], name: str, parameters: Mapping[str, object]
) -> Receipt | None:
    cursor = connection.cursor(row_factory=class_row(Receipt))
    await cursor.execute(query(name), parameters)
    return await cursor.fetchone()
