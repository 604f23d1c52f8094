"""The sensor's side of the queue: what may be claimed, and the claim itself. Callers hold `lock_claims` meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query

CLAIM_LOCK = 0x636C61696D  # "claim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Slots of live workers that no backfill holds; ingest batches that are open, in all and larger than small."""

    slots: int
    open_batches: int
    large_batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimableItem:
    """One queued item, in the order it should be served. `is_known`: its URL has a live version to compare with."""

    item_id: UUID
    caller_id: str
    corpus_id: UUID
    url_key: str
    is_known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedBatch:
    """A batch under dispatch: it ends by itself unless a run begins it in time."""

    batch_id: UUID
    partition_key: str
    model: str


def lock_claims(connection: Connection[TupleRow]) -> None:
    """Claim one at a time, to the end of the transaction: two sensors at once would cut batches into odd sizes."""
    connection.execute(query("lock_claims"), {"key": CLAIM_LOCK})


def capacity(connection: Connection[TupleRow], *, small_batch_items: int) -> Capacity:
    """Return what could run now."""
    with connection.cursor(row_factory=class_row(Capacity)) as cursor:
        row = cursor.execute(query("claim_capacity"), {"small_batch_items": small_batch_items}).fetchone()
    assert row is not None
    return row


def claimable_items(connection: Connection[TupleRow], *, models: Sequence[str], limit: int) -> list[ClaimableItem]:
    """Return up to `limit` items whose time has come, the least served caller first. Corpora of other models wait."""
    with connection.cursor(row_factory=class_row(ClaimableItem)) as cursor:
        return cursor.execute(query("claimable_items"), {"models": list(models), "limit": limit}).fetchall()


def claim_batch(
    connection: Connection[TupleRow], *, corpus_id: UUID, item_ids: Sequence[UUID], dispatch_seconds: float
) -> ClaimedBatch | None:
    """Move the items under the lease of a new batch. It has `dispatch_seconds` to begin and costs no attempt before.

    None: the corpus was deleted just now.
    """
    with connection.cursor(row_factory=class_row(ClaimedBatch)) as cursor:
        return cursor.execute(
            query("claim_batch"),
            {"corpus_id": corpus_id, "item_ids": list(item_ids), "dispatch_seconds": dispatch_seconds},
        ).fetchone()


def seconds_to_next(connection: Connection[TupleRow]) -> float | None:
    """Return the seconds until a waiting item becomes ready, or None when none waits for a time."""
    row = connection.execute(query("next_ready")).fetchone()
    return None if row is None else row[0]
