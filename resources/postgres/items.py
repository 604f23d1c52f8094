"""The items of a batch: how one ends, waits, goes back to the queue or is cancelled. The transaction is fenced.

Jobs are locked before their items, in the order of their ids: `lock_jobs` first where a transaction does several of
these, and after every write of shared content, so that no two transactions wait for each other crosswise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.postgres.queries import query
from resources.types import ItemStatus, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEnd:
    """The end of one item. Facts left at None keep what the row holds."""

    item_id: UUID
    status: ItemStatus
    failed_stage: Stage | None = None
    error: dict[str, object] | None = None
    change: str | None = None
    http_status: int | None = None
    bytes: int | None = None
    final_url: str | None = None
    robots: dict[str, object] | None = None
    fetched_at: datetime | None = None
    document_id: UUID | None = None
    duplicate_of: UUID | None = None
    chunks_added: int = 0
    chunks_kept: int = 0
    chunks_removed: int = 0
    embedding_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedItem:
    """What ended in this transaction; `age_seconds` since it was submitted, for the histogram.

    `ended_crawl` is its job, if that crawls and is over. `job_outcome`: its job is over too, after `job_seconds`.
    """

    item_id: UUID
    status: ItemStatus
    failed_stage: Stage | None
    code: str | None
    age_seconds: float
    ended_crawl: UUID | None = None
    job_id: UUID
    job_outcome: str | None = None
    job_seconds: float | None = None


def lock_jobs(connection: Connection[TupleRow], item_ids: Iterable[UUID]) -> None:
    """Lock the jobs of these items to the end of the transaction: none of them is cancelled or ended meanwhile."""
    connection.execute(query("lock_jobs_of_items"), {"item_ids": list(item_ids)})


def end(connection: Connection[TupleRow], *, batch_id: UUID, ends: Iterable[ItemEnd]) -> list[EndedItem]:
    """End items of this batch, and the jobs whose last items they were. Items it does not lease are left alone."""
    ends = list(ends)
    if not ends:
        return []
    lock_jobs(connection, (item.item_id for item in ends))
    with connection.cursor(row_factory=class_row(EndedItem)) as cursor:
        ended = cursor.execute(
            query("end_items"), {"batch_id": batch_id, "ends": Jsonb([_plain(item) for item in ends])}
        ).fetchall()
    crawls = {item.ended_crawl for item in ended if item.ended_crawl is not None}
    if crawls:
        connection.execute(query("report_gone_pages"), {"job_ids": list(crawls)})
    return ended


def release(
    connection: Connection[TupleRow],
    *,
    batch_id: UUID,
    item_ids: Sequence[UUID],
    delay_seconds: float,
    reason: str | None,
    counts_attempt: bool,
) -> list[EndedItem]:
    """Give items back to the queue, ready after `delay_seconds`, to start where they stood.

    `reason` is what the caller sees as `waiting_reason`; a wait for a breaker, a host or others costs no attempt.
    Items that are not to be worked on any more end instead, and are returned.
    """
    if not item_ids:
        return []
    lock_jobs(connection, item_ids)
    ended = end_cancelled(connection, batch_id=batch_id, item_ids=item_ids)
    connection.execute(
        query("release_items"),
        {
            "batch_id": batch_id,
            "item_ids": list(item_ids),
            "delay_seconds": delay_seconds,
            "reason": reason,
            "refund": 0 if counts_attempt else 1,
        },
    )
    return ended


def wake(connection: Connection[TupleRow], *, fingerprint: str, reasons: Sequence[str]) -> int:
    """Let items that wait for a model's server, for one of these reasons, be claimed now; return how many.

    Under the lock of the claims, which take rows of the queue before the items.
    """
    parameters = {"fingerprint": fingerprint, "reasons": list(reasons)}
    woken = connection.execute(query("wake_waiting"), parameters).rowcount
    if woken:
        connection.execute(query("notify_jobs"))
    return woken


def cancelled(
    connection: Connection[TupleRow], *, batch_id: UUID, item_ids: Sequence[UUID] | None = None
) -> list[ItemEnd]:
    """Return how the items of this batch (or these of them) end that are not to be worked on any more.

    Cancelled, where their job is being cancelled; skipped, where their document was deleted after they were submitted.
    """
    rows = connection.execute(
        query("cancelled_items"), {"batch_id": batch_id, "item_ids": None if item_ids is None else list(item_ids)}
    ).fetchall()
    return [ItemEnd(item_id=item_id, status=ItemStatus(status)) for item_id, status in rows]


def end_cancelled(
    connection: Connection[TupleRow], *, batch_id: UUID, item_ids: Sequence[UUID] | None = None
) -> list[EndedItem]:
    """End the items of this batch (or these of them) that `cancelled` finds, and return them."""
    found = cancelled(connection, batch_id=batch_id, item_ids=item_ids)
    return end(connection, batch_id=batch_id, ends=found)


def _plain(item: ItemEnd) -> dict[str, Any]:
    record = asdict(item)
    for name in ("item_id", "document_id", "duplicate_of", "fetched_at"):
        record[name] = None if record[name] is None else str(record[name])
    return record
