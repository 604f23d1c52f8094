"""Searches a corpus: what serves it, the query's vector and words, the best chunks. Knows nothing of HTTP."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypedDict
from uuid import UUID

import numpy as np
import numpy.typing as npt

from cixml_api.fusion import fuse
from resources import lexemes
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
from resources.postgres.search import Filter, Hit, search, search_keywords
from resources.telemetry import attributes, metrics, tracing

MOST_KNOWN_INDEXES = 10_000
FUSED_FROM = 30
"""Hits of each list of a hybrid search. nDCG@10 with 30, 60, 100 of each: XQuAD 0.9721, 0.9717, 0.9717 (words alone
0.972); Cranfield 0.421, 0.425, 0.425 (vectors alone 0.391)."""
MOST_RANKED = 10_000
"""How far a list is read for hits of other documents."""

Mode = Literal["dense", "keyword", "hybrid"]
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


class Asked(TypedDict):
    """What both searches take."""

    caller_id: str
    index: ServingIndex
    top_k: int
    where: Filter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryVector:
    """A query's vector. `tokens` were embedded for it now: none when it was cached."""

    vector: Vector
    tokens: int
    is_cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a corpus. `threshold` is the least cosine similarity of a dense hit.

    `offset` hits are passed over; with `group_size`, what is more than so many of one document is left out.
    """

    text: str
    top_k: int
    mode: Mode = "dense"
    where: Filter | None = None
    threshold: float | None = None
    offset: int = 0
    group_size: int | None = None

    @property
    def end(self) -> int:
        return self.offset + self.top_k


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredHit:
    """A hit with the scores that put it in its place: None where it was not found by that."""

    hit: Hit
    vector: float | None = None
    keyword: float | None = None
    fused: float | None = None
    vector_rank: int | None = None
    keyword_rank: int | None = None

    @property
    def score(self) -> float:
        return next(score for score in (self.fused, self.vector, self.keyword) if score is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found, by which index version, and the time both steps took. No `query` where keywords alone answered.

    `degraded`: the error for which a hybrid search did without vectors.
    """

    index: ServingIndex
    query: QueryVector | None
    hits: list[ScoredHit]
    has_more: bool
    candidates: int
    embed_seconds: float
    search_seconds: float
    degraded: EmbeddingUnavailableError | None = None


class Searcher:
    """Remembers which index version serves a corpus: the search statement itself finds out when that changed."""

    def __init__(self, pool: Pool, *, embedders: Iterable[Embedder], cache: VectorCache | None) -> None:
        self._pool = pool
        self._embedders = {embedder.model.fingerprint: embedder for embedder in embedders}
        self._cache = cache
        self._indexes: OrderedDict[tuple[str, CorpusKey], ServingIndex] = OrderedDict()

    async def search(self, *, caller_id: str, corpus: CorpusKey, question: Question) -> Outcome:
        """Return the best chunks. Raises NotFoundError, EmbeddingUnavailableError, InvalidRequestError."""
        embed_seconds = search_seconds = 0.0
        for _ in range(3):
            index = await self._index(caller_id, corpus)
            started = time.perf_counter()
            vector, degraded = await self._vector_for(question, index)
            embedded = time.perf_counter()
            with tracing.span(attributes.SEARCH_SPAN, {attributes.CORPUS_NAME: corpus.name}):
                found = await self._find(caller_id, index, question, vector)
            embed_seconds += embedded - started
            search_seconds += time.perf_counter() - embedded
            if found is not None:
                self._observe(question.mode, embed_seconds, search_seconds)
                hits, candidates = found
                return Outcome(
                    index=index,
                    query=vector,
                    hits=hits[question.offset : question.end],
                    has_more=len(hits) > question.end,
                    candidates=candidates,
                    embed_seconds=embed_seconds,
                    search_seconds=search_seconds,
                    degraded=degraded,
                )
            self._indexes.pop((caller_id, corpus), None)
        raise DatabaseUnavailableError("The corpus changes its index right now: try again", retry_after_seconds=1)

    async def _find(
        self, caller_id: str, index: ServingIndex, question: Question, vector: QueryVector | None
    ) -> tuple[list[ScoredHit], int] | None:
        """Return the hits, one more than asked for if there are, and how many chunks there were to find.

        None when `index` no longer serves. Where documents may have so many hits, more are asked for until there are
        enough, or no others. What two lists fuse to depends on how far they are read: so that pages of results are one
        list, a hybrid search reads as far on each page, and what it finds farther comes after what it found before.
        """
        is_hybrid = question.mode == "hybrid"
        depth = FUSED_FROM if is_hybrid else question.end + 1
        ranked: list[ScoredHit] = []
        while True:
            answer = await self._ranked(caller_id, index, question, vector, depth)
            if answer is None:
                return None
            hits, candidates, is_all = answer
            if is_hybrid:
                known = {found.hit.chunk_id for found in ranked}
                hits = ranked = ranked + [found for found in hits if found.hit.chunk_id not in known]
            if question.group_size is not None:
                hits = grouped(hits, question.group_size)
            if is_all or len(hits) > question.end or depth >= MOST_RANKED:
                return hits, candidates
            depth *= 4

    async def _ranked(
        self, caller_id: str, index: ServingIndex, question: Question, vector: QueryVector | None, depth: int
    ) -> tuple[list[ScoredHit], int, bool] | None:
        """Return hits of the first `depth` of each list, the chunks there were to find, and whether that is all."""
        near = of_words = None
        async with connected(self._pool) as connection:
            tracing.event(attributes.CONNECTED_EVENT)
            asked: Asked = {"caller_id": caller_id, "index": index, "top_k": depth, "where": question.where}
            if vector is not None:
                with tracing.span(attributes.SEARCH_VECTORS_SPAN):
                    near = await search(connection, vector=vector.vector, **asked)
                if near is None:
                    return None
            if question.mode != "dense":
                with tracing.span(attributes.SEARCH_WORDS_SPAN):
                    of_words = await search_keywords(connection, words=lexemes.asked(question.text), **asked)
                if of_words is None:
                    return None
        lists = [found for found in (near, of_words) if found is not None]
        is_all = all(len(found.hits) < depth for found in lists)
        with tracing.span(attributes.FUSION_SPAN) if len(lists) > 1 else nullcontext():
            hits = fused(near.hits if near else [], of_words.hits if of_words else [])
        if len(lists) == 1:  # nothing to fuse: the one list's own score ranks
            hits = [replace(hit, fused=None) for hit in hits]
        if question.threshold is not None:
            is_all = is_all or any(hit.score < question.threshold for hit in hits)  # what comes after is farther still
            hits = [hit for hit in hits if hit.score >= question.threshold]
        return hits, lists[0].candidates, is_all

    async def _vector_for(
        self, question: Question, index: ServingIndex
    ) -> tuple[QueryVector | None, EmbeddingUnavailableError | None]:
        """Return the question's vector where it needs one, or why a hybrid search must do without."""
        if question.mode == "keyword":
            return None, None
        try:
            with tracing.span(attributes.QUERY_SPAN, {attributes.EMBEDDING_MODEL: index.model}):
                return await self._vector(question.text, index), None
        except EmbeddingUnavailableError as error:
            if question.mode == "dense":
                raise
            return None, error

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
    def _observe(mode: Mode, embed_seconds: float, search_seconds: float) -> None:
        metrics.search_duration_seconds.labels(mode, "embed").observe(embed_seconds)
        metrics.search_duration_seconds.labels(mode, "search").observe(search_seconds)


def fused(near: Sequence[Hit], of_words: Sequence[Hit]) -> list[ScoredHit]:
    """Return the hits of both lists by their places in them; of equals the one with the better words."""
    hits = {hit.chunk_id: hit for hit in (*near, *of_words)}
    vector = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(near, start=1)}
    keyword = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(of_words, start=1)}
    found = []
    for key, score in fuse([list(keyword), list(vector)]):
        vector_rank, cosine = vector.get(key, (None, None))
        keyword_rank, bm25 = keyword.get(key, (None, None))
        found.append(
            ScoredHit(
                hit=hits[key],
                vector=cosine,
                keyword=bm25,
                fused=score,
                vector_rank=vector_rank,
                keyword_rank=keyword_rank,
            )
        )
    return found


def grouped(hits: Iterable[ScoredHit], size: int) -> list[ScoredHit]:
    """Return the hits without those that come after `size` others of their document."""
    seen: Counter[UUID] = Counter()
    kept = []
    for scored in hits:
        seen[scored.hit.document_id] += 1
        if seen[scored.hit.document_id] <= size:
            kept.append(scored)
    return kept
