"""How far the fill of an index version is: which documents become whole with which vectors. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from uuid import UUID

from resources.postgres.chunks import BatchChunk


class FillProgress:
    """What a backfill's batch still lacks. A text may stand in many documents, and often in one."""

    def __init__(self, chunks: Iterable[BatchChunk]) -> None:
        self._missing: dict[UUID, int] = {}
        self._places: dict[UUID, Counter[UUID]] = defaultdict(Counter)
        for chunk in chunks:
            if not chunk.is_stored:
                self._missing[chunk.document_id] = self._missing.get(chunk.document_id, 0) + 1
                self._places[chunk.chunk_hash][chunk.document_id] += 1

    @property
    def documents_missing(self) -> int:
        return len(self._missing)

    @property
    def chunks_missing(self) -> int:
        return sum(self._missing.values())

    def stored(self, hashes: Iterable[UUID]) -> tuple[int, int]:
        """Note vectors as stored and return how many documents became whole, and how many chunks got theirs."""
        documents = chunks = 0
        for chunk_hash in hashes:
            for document_id, places in self._places.pop(chunk_hash, Counter()).items():
                chunks += places
                self._missing[document_id] -= places
                if not self._missing[document_id]:
                    del self._missing[document_id]
                    documents += 1
        return documents, chunks
