"""Which queued items make which batches. Pure: what may be claimed comes in, in the order it should be served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from resources.postgres.claims import Capacity, ClaimableItem


@dataclass(slots=True, kw_only=True)
class PlannedBatch:
    """Items of one corpus that one run should work on."""

    corpus_id: UUID
    item_ids: list[UUID] = field(default_factory=list)


def batch_limit(waiting: int, slots: int, *, small_batch_items: int, batch_items: int) -> int:
    """Return how large a batch may be: a job's share of the slots, so that one job uses all workers."""
    share = -(-waiting // max(1, slots))
    return max(small_batch_items, min(batch_items, share))


def plan_batches(
    items: Iterable[ClaimableItem], capacity: Capacity, *, small_batch_items: int, batch_items: int
) -> list[PlannedBatch]:
    """Group items by corpus into batches, the first served first, at most one per free slot.

    One slot is kept for small batches: with every slot on large ones, a single page would wait for a whole batch.
    An item whose URL is already in a batch of its corpus waits: two jobs on one URL take turns.
    """
    items = list(items)
    limit = batch_limit(len(items), capacity.slots, small_batch_items=small_batch_items, batch_items=batch_items)
    planned = _group(items, limit)
    room = capacity.slots - capacity.open_batches
    room_for_large = max(1, capacity.slots - 1) - capacity.large_batches
    chosen: list[PlannedBatch] = []
    for batch in planned:
        if len(chosen) >= room:
            break
        if len(batch.item_ids) > small_batch_items:
            if room_for_large <= 0:
                continue
            room_for_large -= 1
        chosen.append(batch)
    return chosen


def _group(items: Iterable[ClaimableItem], limit: int) -> list[PlannedBatch]:
    """Return batches in the order of their first items, each at most `limit` long."""
    batches: list[PlannedBatch] = []
    filling: dict[UUID, PlannedBatch] = {}
    taken: set[tuple[UUID, str]] = set()
    for item in items:
        if (item.corpus_id, item.url_key) in taken:
            continue
        taken.add((item.corpus_id, item.url_key))
        batch = filling.get(item.corpus_id)
        if batch is None or len(batch.item_ids) >= limit:
            batch = filling[item.corpus_id] = PlannedBatch(corpus_id=item.corpus_id)
            batches.append(batch)
        batch.item_ids.append(item.item_id)
    return batches
