"""Answers to searches, and the passport of a hit. Fields and values that are added later are kept, not refused."""

from __future__ import annotations

from datetime import datetime

from cixml.client.base import Answer, Metadata
from cixml.client.types import RobotsRecord


class Scores(Answer):
    vector: float | None
    keyword: float | None
    fused: float | None


class Offsets(Answer):
    start: int
    end: int
    unit: str


class NeighbourChunk(Answer):
    """A chunk right before or after the result."""

    chunk_id: str
    ordinal: int
    text: str
    offsets: Offsets


class Explanation(Answer):
    """The result's places by vectors and by words, and its distance."""

    vector_rank: int | None
    keyword_rank: int | None
    distance: float | None


class SearchResult(Answer):
    rank: int
    score: float
    scores: Scores
    chunk_id: str
    document_id: str
    corpus: str
    url: str | None
    anchor: str | None
    external_id: str | None
    title: str | None
    text: str
    ordinal: int
    offsets: Offsets
    text_sha256: str
    snapshot: str
    fetched_at: datetime
    published_at: datetime | None
    metadata: Metadata
    highlights: list[tuple[int, int]] | None = None
    neighbours: list[NeighbourChunk] | None = None
    explain: Explanation | None = None


class QueryRecord(Answer):
    model: str
    index_version: str
    distance: str
    tokens: int
    embedding_cached: bool


class TookMilliseconds(Answer):
    auth: float
    embed: float
    search: float
    total: float


class SearchAnswer(Answer):
    results: list[SearchResult]
    query: QueryRecord
    total_candidates: int
    partial: bool
    degraded: str | None
    took_ms: TookMilliseconds
    next: str | None


class CorpusQueryRecord(QueryRecord):
    corpus: str


class CorporaSearchAnswer(Answer):
    results: list[SearchResult]
    queries: list[CorpusQueryRecord]
    total_candidates: int
    degraded: str | None
    took_ms: TookMilliseconds
    next: str | None


class PageOrigin(Answer):
    """The page as it came. Of a pushed text there is no server."""

    snapshot: str
    sha256: str
    bytes: int
    final_url: str | None
    http_status: int | None
    content_type: str
    charset: str | None
    etag: str | None
    last_modified: str | None
    fetched_at: datetime
    robots: RobotsRecord | None
    job_id: str | None
    item_id: str | None
    run_id: str | None


class TextOrigin(Answer):
    extractor: str | None
    text_sha256: str | None
    coverage: float | None
    language: str | None


class ChunkOrigin(Answer):
    """How the text was cut; `offsets` lead from the text layer to the chunk."""

    ordinal: int
    offsets: Offsets
    heading: str | None
    token_count: int
    text_sha256: str
    algorithm: str
    settings: dict[str, object] | None
    fingerprint: str
    chunked_at: datetime | None
    run_id: str | None


class VectorOrigin(Answer):
    model: str
    revision: str
    dimension: int
    fingerprint: str
    index_version: str
    kind: str
    state: str
    created_at: datetime
    serving_since: datetime
    embedded_at: datetime | None
    run_id: str | None


class HitLineage(Answer):
    """Where a hit comes from, from the bytes to the vector."""

    chunk_id: str
    document_id: str
    corpus: str
    url: str | None
    external_id: str | None
    is_live: bool
    live_from: datetime | None
    live_to: datetime | None
    partition: str
    page: PageOrigin
    text: TextOrigin
    chunk: ChunkOrigin
    vector: VectorOrigin | None
