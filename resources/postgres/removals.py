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
PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedPage:
    """A page that a crawl reported; `is_gone`: nobody fetched it since."""

    item_id: UUID
    document_id: UUID
    corpus_id: UUID
    caller_id: str
    traceparent: str | None
    address: str
    is_gone: bool


def take(connection: Connection[TupleRow]) -> RemovedPage | None:
    """Lock the next page that may be tried, to the end of the transaction."""
    with connection.cursor(row_factory=class_row(RemovedPage)) as cursor:
        return cursor.execute(query("next_removed_page")).fetchone()


def delete(connection: Connection[TupleRow], page: RemovedPage) -> None:
    """Delete its document with a receipt, or put it off while its corpus is busy."""
    if not corpus_lock.take(connection, corpus_id=page.corpus_id, wait_seconds=LOCK_WAIT_SECONDS):
        put_off(connection, page, seconds=PAUSE_SECONDS)
        return
    if page.is_gone:
        connection.execute(query("set_caller"), [page.caller_id, ""])
        which = {"corpus_id": page.corpus_id, "address": page.address, "kind": "document"}
        which |= {"traceparent": page.traceparent}
        connection.execute(query("delete_documents"), which | DocumentFilter(document_id=page.document_id).parameters())
    connection.execute(query("forget_removed_page"), {"item_id": page.item_id})


def put_off(connection: Connection[TupleRow], page: RemovedPage, *, seconds: float) -> None:
    """Let others come first: it is tried again later."""
    connection.execute(query("put_off_removed_page"), {"item_id": page.item_id, "seconds": seconds})
