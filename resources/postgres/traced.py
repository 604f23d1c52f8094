"""What the spans of a batch are about: its items, their jobs, and the traces of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedItem:
    """An item under a batch's lease. `parent_traceparent` is of the job of which its job is a retry."""

    batch_id: UUID
    item_id: UUID
    job_id: UUID
    url: str
    traceparent: str | None
    parent_traceparent: str | None
    corpus_name: str
    enqueued_at: datetime
    claimed_at: datetime
    started_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedBuild:
    """The request that asked for an index version, and the corpus's name."""

    traceparent: str
    corpus_name: str


def build(connection: Connection[TupleRow], *, batch_id: UUID) -> TracedBuild | None:
    """Return for which request a batch fills an index version; None for any other batch."""
    with connection.cursor(row_factory=class_row(TracedBuild)) as cursor:
        return cursor.execute(query("traced_build"), {"batch_id": batch_id}).fetchone()


def items(connection: Connection[TupleRow], *, batch_ids: Sequence[UUID]) -> list[TracedItem]:
    """Return the items that these batches have under lease: those of a backfill are nobody's, and not among them."""
    with connection.cursor(row_factory=class_row(TracedItem)) as cursor:
        return cursor.execute(query("traced_items"), {"batch_ids": list(batch_ids)}).fetchall()
