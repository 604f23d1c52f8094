"""Searches a corpus: what serves it, the query's vector, the nearest chunks. Knows nothing of HTTP."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from resources.embedding.answer import Embedded
from resources.embedding.registry import Model, Operation
from resources.errors import (
    DatabaseUnavailableError,
    EmbeddingRejectedError,
    EmbeddingUnavailableError,
    InvalidRequestError,
    NotFoundError,
)
from resources.postgres.corpora import CorpusKey, ServingIndex, serving_index
from resources.postgres.pool import Pool, connected
from resources.postgres.search import Found, search
from resources.telemetry import metrics

MOST_KNOWN_INDEXES = 10_000

Vector = npt.NDArray[np.float32]


class Embedder(Protocol):
    """What a search needs of the embedding client."""

    @property
    def model(self) -> Model: ...
    async def embed(self, texts: Sequence[str], *, operation: Operation) -> Embedded: ...
    async def served_models(self) -> frozenset[str]: ...


class VectorCache(Protocol):
    """What a search needs of the cache of query vectors."""

    async def get(self, text: str, *, fingerprint: str, dimension: int) -> Vector | None: ...
    async def put(self, text: str, vector: Vector, *, fingerprint: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryVector:
    """A query's vector. `tokens` were embedded for it now: none when it was cached."""

    vector: Vector
    tokens: int
    is_cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found, by which index version, and the time both steps took."""

    index: ServingIndex
    query: QueryVector
    found: Found
    embed_seconds: float
    search_seconds: float


class Searcher:
    """Remembers which index version serves a corpus: the search statement itself finds out when that changed."""

    def __init__(self, pool: Pool, *, embedders: Iterable[Embedder], cache: VectorCache | None) -> None:
        self._pool = pool
        self._embedders = {embedder.model.fingerprint: embedder for embedder in embedders}
        self._cache = cache
        self._indexes: OrderedDict[tuple[str, CorpusKey], ServingIndex] = OrderedDict()

    async def search(self, *, caller_id: str, corpus: CorpusKey, query: str, top_k: int) -> Outcome:
        """Return the nearest chunks. Raises NotFoundError, EmbeddingUnavailableError, InvalidRequestError."""
        embed_seconds = search_seconds = 0.0
        for _ in range(3):
            index = await self._index(caller_id, corpus)
            started = time.perf_counter()
            vector = await self._vector(query, index)
            embedded = time.perf_counter()
            async with connected(self._pool) as connection:
                found = await search(connection, caller_id=caller_id, index=index, vector=vector.vector, top_k=top_k)
            embed_seconds += embedded - started
            search_seconds += time.perf_counter() - embedded
            if found is not None:
                self._observe(embed_seconds, search_seconds)
                return Outcome(
                    index=index,
                    query=vector,
                    found=found,
                    embed_seconds=embed_seconds,
                    search_seconds=search_seconds,
                )
            self._indexes.pop((caller_id, corpus), None)
        raise DatabaseUnavailableError("The corpus changes its index right now: try again", retry_after_seconds=1)

    async def _index(self, caller_id: str, corpus: CorpusKey) -> ServingIndex:
        key = (caller_id, corpus)
        known = self._indexes.get(key)
        if known is not None:
            self._indexes.move_to_end(key)
            return known
        async with connected(self._pool) as connection:
            found = await serving_index(connection, caller_id=caller_id, key=corpus)
        if found is None:
            raise NotFoundError(f"There is no corpus {corpus.name!r} of this caller.")
        self._indexes[key] = found
        if len(self._indexes) > MOST_KNOWN_INDEXES:
            self._indexes.popitem(last=False)
        return found

    async def _vector(self, query: str, index: ServingIndex) -> QueryVector:
        embedder = self._embedders.get(index.fingerprint)
        if embedder is None:
            raise EmbeddingUnavailableError(
                f"The corpus is served by the model {index.model!r}, which is not enabled here (any more): "
                f"the operator runs 'cixml models enable {index.model}', or re-embeds the corpus"
            )
        if self._cache is not None:
            known = await self._cache.get(query, fingerprint=index.fingerprint, dimension=index.dimension)
            if known is not None:
                return QueryVector(vector=known, tokens=0, is_cached=True)
        try:
            embedded = await embedder.embed([query], operation="read")
        except EmbeddingRejectedError as error:
            raise InvalidRequestError(f"the model can't take this query: {error.message}", pointer="/query") from error
        vector = embedded.vectors[0]
        if self._cache is not None:
            await self._cache.put(query, vector, fingerprint=index.fingerprint)
        return QueryVector(vector=vector, tokens=embedded.tokens, is_cached=False)

    @staticmethod
    def _observe(embed_seconds: float, search_seconds: float) -> None:
        metrics.search_duration_seconds.labels("vector", "embed").observe(embed_seconds)
        metrics.search_duration_seconds.labels("vector", "search").observe(search_seconds)
