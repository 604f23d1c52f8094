"""What was pushed, once a run works on it: told apart from what is live already. Submissions store it, not this."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class UnchangedPush:
    """An item that brought what is live already."""

    item_id: UUID
    document_id: UUID


def settle(connection: Connection[TupleRow], *, batch_id: UUID) -> list[UnchangedPush]:
    """Note what each push of the batch changes, and return those that change nothing: they are to end. Idempotent."""
    with connection.cursor(row_factory=class_row(UnchangedPush)) as cursor:
        return cursor.execute(query("settle_pushes"), {"batch_id": batch_id}).fetchall()
