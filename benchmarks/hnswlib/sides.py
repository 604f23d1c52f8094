"""The two that are asked: the product's statement as the API sends it, and the library. One client each."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import psutil
from pgvector import HalfVector
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow, tuple_row

from benchmarks.errors import BenchmarkError
from benchmarks.growth.chunks import CHUNKS_PER_DOCUMENT, Vectors
from resources.postgres.corpora import ServingIndex
from resources.postgres.pool import Planning, fetch_as
from resources.postgres.promotions import EF_CONSTRUCTION, M
from resources.postgres.queries import query
from resources.postgres.search import MOST_SCANNED, search

TOP_K = 10
_BARE = "SELECT e.chunk_hash FROM {} e ORDER BY e.embedding <#> %(vector)b LIMIT %(top_k)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Answers to all queries: the numbers found by each, the seconds each took, and CPU seconds of both sides of it."""

    found: list[set[int]]
    seconds: list[float]
    server_cpu: float
    own_cpu: float


class Side(Protocol):
    """What is asked."""

    name: str
    widths: Sequence[int]

    async def ask(self, queries: Vectors, ef_search: int) -> Asked: ...


class Product:
    """`resources.postgres.search` on the corpus's own relation, by the API's login and its connection's settings."""

    name = "product"
    widths: Sequence[int] = (20, 40, 80, 160, 320)

    def __init__(self, connection: AsyncConnection[TupleRow], caller_id: str, index: ServingIndex) -> None:
        self._connection = connection
        self._caller_id = caller_id
        self._index = index

    async def ask(self, queries: Vectors, ef_search: int) -> Asked:
        index = replace(self._index, ef_search=ef_search)
        with _Watch(self._connection.info.backend_pid) as watch:
            for vector in queries:
                answer = await search(
                    self._connection, caller_id=self._caller_id, index=index, vector=vector, top_k=TOP_K
                )
                assert answer is not None
                watch.note({_number(hit.url, hit.ordinal) for hit in answer.hits})
        return watch.asked


class Bare:
    """The ten nearest rows of the same relation and nothing else: pgvector, the protocol, psycopg."""

    name = "bare"
    widths: Sequence[int] = (20, 40, 80, 160, 320)

    def __init__(self, connection: AsyncConnection[TupleRow], caller_id: str, index: ServingIndex) -> None:
        self._connection = connection
        self._caller_id = caller_id
        self._index = index
        self._statement = sql.SQL(_BARE).format(sql.Identifier("cixml", index.relation))

    async def ask(self, queries: Vectors, ef_search: int) -> Asked:
        scan = Planning(query("set_graph_scan"), {"ef_search": str(ef_search), "max_scan_tuples": str(MOST_SCANNED)})
        with _Watch(self._connection.info.backend_pid) as watch:
            for vector in queries:
                await fetch_as(
                    self._connection,
                    self._caller_id,
                    self._statement,
                    {"vector": HalfVector(vector), "top_k": TOP_K},
                    rows=tuple_row,
                    corpus_id=self._index.corpus_id,
                    planning=scan,
                )
                watch.note(set())
        return watch.asked


class Library:
    """hnswlib with the product's `m` and `ef_construction`, over the same vectors as float32."""

    name = "hnswlib"
    widths: Sequence[int] = (20, 30, 40, 50, 60, 80, 100, 120, 160, 200, 320)

    def __init__(self, vectors: Vectors) -> None:
        self._graph = _hnswlib().Index(space="ip", dim=vectors.shape[1])
        self._graph.init_index(max_elements=len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
        self._graph.add_items(vectors, np.arange(len(vectors)))

    async def ask(self, queries: Vectors, ef_search: int) -> Asked:
        self._graph.set_ef(ef_search)
        with _Watch(None) as watch:
            for vector in queries:
                labels, _ = self._graph.knn_query(vector, k=TOP_K, num_threads=1)
                watch.note(set(labels[0].tolist()))
        return watch.asked


def truth(vectors: Vectors, queries: Vectors) -> list[set[int]]:
    """Return the numbers of the ten nearest to each query, by all of the vectors."""
    nearness = queries @ vectors.T
    return [set(row.tolist()) for row in np.argpartition(-nearness, TOP_K, axis=1)[:, :TOP_K]]


def recall(found: Sequence[set[int]], nearest: Sequence[set[int]]) -> float:
    """Return what share of the nearest was found."""
    return sum(len(mine & theirs) for mine, theirs in zip(found, nearest, strict=True)) / (TOP_K * len(nearest))


class _Watch:
    """Notes each answer and the time since the one before, and what CPU was used inside."""

    def __init__(self, backend: int | None) -> None:
        self._backend = psutil.Process(backend) if backend is not None else None
        self._found: list[set[int]] = []
        self._seconds: list[float] = []

    def __enter__(self) -> _Watch:
        self._server, self._own = self._server_cpu(), time.process_time()
        self._since = time.perf_counter()
        return self

    def note(self, found: set[int]) -> None:
        self._seconds.append(time.perf_counter() - self._since)
        self._found.append(found)
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.asked = Asked(
            found=self._found,
            seconds=self._seconds,
            server_cpu=self._server_cpu() - self._server,
            own_cpu=time.process_time() - self._own,
        )

    def _server_cpu(self) -> float:
        if self._backend is None:
            return 0.0
        used = self._backend.cpu_times()
        return used.user + used.system


def _number(url: str | None, ordinal: int) -> int:
    """Return which vector a chunk that `growth.chunks.fill` made has; -1 for the pages beside."""
    page = (url or "").rpartition("/")[2]
    return int(page) * CHUNKS_PER_DOCUMENT + ordinal if page.isdigit() else -1


def _hnswlib() -> Any:
    try:
        return importlib.import_module("hnswlib")
    except ModuleNotFoundError as error:
        raise BenchmarkError("hnswlib is not installed, only this benchmark wants it: pip install hnswlib") from error
