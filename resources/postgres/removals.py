"""Pages that a crawl found gone: their documents are deleted as a caller deletes one, with a receipt."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres import corpus_lock
from resources.postgres.queries import query
from resources.postgres.receipts import DocumentFilter

LOCK_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _RemovedPage:
    item_id: UUID
    document_id: UUID
    corpus_id: UUID
    caller_id: str
    traceparent: str | None
    address: str
    is_gone: bool


def delete_next(connection: Connection[TupleRow]) -> bool:
    """Delete the document of one page that is gone. False: there is none, or its corpus is busy for now."""
    with connection.cursor(row_factory=class_row(_RemovedPage)) as cursor:
        page = cursor.execute(query("next_removed_page")).fetchone()
    if page is None or not corpus_lock.take(connection, corpus_id=page.corpus_id, wait_seconds=LOCK_WAIT_SECONDS):
        return False
    if page.is_gone:
        connection.execute(query("set_caller"), [page.caller_id, ""])
        which = {"corpus_id": page.corpus_id, "address": page.address, "kind": "document"}
        which |= {"traceparent": page.traceparent}
        connection.execute(query("delete_documents"), which | DocumentFilter(document_id=page.document_id).parameters())
    connection.execute(query("forget_removed_page"), {"item_id": page.item_id})
    return True
