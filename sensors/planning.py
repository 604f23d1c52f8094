"""Which queued items make which batches. Pure: what may be claimed comes in, in the order it should be served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from resources.postgres.claims import Capacity, ClaimableItem

KNOWN_COST = 0.25
"""A page with a live version is mostly one conditional request. A re-crawl in few large runs is 8 times faster."""


@dataclass(slots=True, kw_only=True)
class PlannedBatch:
    """Items of one corpus that one run should work on, and the most they may cost."""

    corpus_id: UUID
    limit: float
    item_ids: list[UUID] = field(default_factory=list)
    cost: float = 0.0

    def add(self, item: ClaimableItem) -> None:
        self.item_ids.append(item.item_id)
        self.cost += cost_of(item)

    @property
    def is_full(self) -> bool:
        return self.cost >= self.limit


def cost_of(item: ClaimableItem) -> float:
    """Return what an item counts in a batch: 1 for a new page."""
    return KNOWN_COST if item.is_known else 1.0


def most_claimable(capacity: Capacity, *, batch_items: int) -> int:
    """Return how many items one claim can use at most."""
    return int(max(0, capacity.slots - capacity.open_batches) * batch_items / KNOWN_COST)


def plan_batches(
    items: Iterable[ClaimableItem], capacity: Capacity, *, small_batch_items: int, batch_items: int
) -> list[PlannedBatch]:
    """Group items by corpus into batches, the first served first, at most one per free slot.

    One slot is kept for small batches: with every slot on large ones, a single page would wait for a whole batch.
    An item whose URL is already in a batch of its corpus waits: two jobs on one URL take turns.
    """
    items = _one_per_url(items)
    room = capacity.slots - capacity.open_batches
    room_for_large = max(1, capacity.slots - 1) - capacity.large_batches
    limits = batch_limits(
        sum(map(cost_of, items)),
        min(room, room_for_large),
        small_batch_items=small_batch_items,
        batch_items=batch_items,
    )
    chosen: list[PlannedBatch] = []
    for batch in _group(items, limits):
        if len(chosen) >= room:
            break
        if len(batch.item_ids) > small_batch_items:  # as claims.capacity counts those that are open
            if room_for_large <= 0:
                continue
            room_for_large -= 1
        chosen.append(batch)
    return chosen


def batch_limits(waiting: float, slots: int, *, small_batch_items: int, batch_items: int) -> list[float]:
    """Return how large the next batches may be, the last for all further ones.

    A share of the free slots each, so that one job uses all workers. Where more waits than they take, the first
    batches are smaller: runs of one size fetch together and then embed together, and the embedding server stands
    still in between (0.77 of the time busy instead of 0.9 in a job of 1,000 pages).
    """
    slots = max(1, slots)
    if waiting <= slots * batch_items:
        return [max(small_batch_items, waiting / slots)]
    return [max(small_batch_items, batch_items * number / slots) for number in range(1, slots + 1)]


def _one_per_url(items: Iterable[ClaimableItem]) -> list[ClaimableItem]:
    found: dict[tuple[UUID, str], ClaimableItem] = {}
    for item in items:
        found.setdefault((item.corpus_id, item.url_key), item)
    return list(found.values())


def _group(items: Iterable[ClaimableItem], limits: list[float]) -> list[PlannedBatch]:
    """Return batches in the order of their first items; the n-th has the n-th limit."""
    batches: list[PlannedBatch] = []
    filling: dict[UUID, PlannedBatch] = {}
    for item in items:
        batch = filling.get(item.corpus_id)
        if batch is None or batch.is_full:
            limit = limits[min(len(batches), len(limits) - 1)]
            batch = filling[item.corpus_id] = PlannedBatch(corpus_id=item.corpus_id, limit=limit)
            batches.append(batch)
        batch.add(item)
    return batches
