"""Which vectors a batch still owes, and which documents become whole with which answer. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from resources.errors import EmbeddingRejectedError
from resources.postgres.chunks import BatchChunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One vector to make: the tokens of its text, and the caller who pays (the first that brought the text)."""

    token_count: int
    caller_id: str


@dataclass(slots=True)
class ItemUsage:
    """Tokens embedded for an item, and tokens it got from vectors that were there."""

    embedding_tokens: int = 0
    cached_tokens: int = 0


@dataclass(slots=True)
class VectorPlan:
    """What is owed, and per item what it still waits for. Fed by answers; says what became whole or failed."""

    owed: dict[UUID, Owed] = field(default_factory=dict)
    usage: dict[UUID, ItemUsage] = field(default_factory=dict)
    _missing: dict[UUID, set[UUID]] = field(default_factory=dict)
    _items_of: dict[UUID, set[UUID]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, chunks: Iterable[BatchChunk]) -> VectorPlan:
        """Make the plan of a batch: each missing text once, however many documents hold it."""
        plan = cls()
        for chunk in chunks:
            is_new = not chunk.is_stored and chunk.chunk_hash not in plan.owed
            if is_new:
                plan.owed[chunk.chunk_hash] = Owed(token_count=chunk.token_count, caller_id=chunk.caller_id)
            if chunk.item_id is not None:
                plan._add(chunk.item_id, chunk, is_new)
        return plan

    def whole(self) -> list[UUID]:
        """Return the items that wait for nothing, and forget them."""
        found = [item_id for item_id, missing in self._missing.items() if not missing]
        for item_id in found:
            del self._missing[item_id]
        return found

    def stored(self, hashes: Iterable[UUID]) -> list[UUID]:
        """Note vectors as stored and return the items that became whole."""
        touched: set[UUID] = set()
        for chunk_hash in hashes:
            for item_id in self._items_of.get(chunk_hash, ()):
                if item_id in self._missing:
                    self._missing[item_id].discard(chunk_hash)
                    touched.add(item_id)
        found = [item_id for item_id in touched if not self._missing[item_id]]
        for item_id in found:
            del self._missing[item_id]
        return sorted(found)

    def refused(self, rejected: Mapping[UUID, EmbeddingRejectedError]) -> dict[UUID, EmbeddingRejectedError]:
        """Return the items that hold a refused text, and forget them: they can't become whole."""
        failed: dict[UUID, EmbeddingRejectedError] = {}
        for chunk_hash, error in rejected.items():
            for item_id in self._items_of.get(chunk_hash, ()):
                if self._missing.pop(item_id, None) is not None:
                    failed[item_id] = error
        return failed

    def is_wanted(self, hashes: Iterable[UUID], *, by: Callable[[UUID | None], bool]) -> bool:
        """Return whether a text is still owed to an item that is wanted, or to a backfill, which has none."""
        return any(by(item_id) for chunk_hash in hashes for item_id in self._items_of.get(chunk_hash) or (None,))

    def unfinished(self) -> Sequence[UUID]:
        """Return the items that still wait."""
        return sorted(self._missing)

    def _add(self, item_id: UUID, chunk: BatchChunk, is_new: bool) -> None:
        missing = self._missing.setdefault(item_id, set())
        usage = self.usage.setdefault(item_id, ItemUsage())
        if not chunk.is_stored:
            missing.add(chunk.chunk_hash)
            self._items_of[chunk.chunk_hash].add(item_id)
        if is_new:
            usage.embedding_tokens += chunk.token_count
        else:
            usage.cached_tokens += chunk.token_count
