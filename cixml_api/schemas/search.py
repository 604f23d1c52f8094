"""Searches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from cixml_api import examples
from cixml_api.schemas.common import Answer, Request, StoredMetadata
from cixml_api.schemas.filters import Filter, check_size


class SearchRequest(Request):
    """A question to one corpus."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.SEARCH_REQUEST})

    query: str = Field(min_length=1, max_length=8192)
    top_k: int = Field(default=10, ge=1, le=100)
    mode: Literal["dense", "keyword", "hybrid"] = Field(
        default="dense", description="by the nearest vectors, by the query's words (BM25), or by both, fused by rank"
    )
    filter: Annotated[Filter, AfterValidator(check_size)] | None = Field(
        default=None, description="only chunks of documents that pass it are looked at"
    )
    threshold: float | None = Field(
        default=None, ge=-1, le=1, description="the least cosine similarity of a result; for the mode `dense` alone"
    )

    @field_validator("query")
    @classmethod
    def _has_words(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the query holds only white space: ask for something")
        return value

    @model_validator(mode="after")
    def _compares_cosines(self) -> SearchRequest:
        if self.threshold is not None and self.mode != "dense":
            raise ValueError("'threshold' is a cosine similarity: only the mode 'dense' ranks by it")
        return self


class Scores(Answer):
    """The cosine similarity, the BM25 score, and what ranks both: null where a search did not find the chunk by it."""

    vector: float | None
    keyword: float | None
    fused: float | None


class Offsets(Answer):
    """Where the chunk stands in the document's text layer."""

    start: int
    end: int
    unit: str = "unicode code point of text layer"


class SearchResult(Answer):
    """One chunk found. `score` is higher for the better."""

    rank: int
    score: float
    scores: Scores
    chunk_id: str
    document_id: str
    corpus: str
    url: str | None
    anchor: str | None = Field(description="the URL with a fragment that browsers scroll to and mark")
    external_id: str | None
    title: str | None
    text: str
    ordinal: int
    offsets: Offsets
    text_sha256: str
    snapshot: str
    fetched_at: datetime
    published_at: datetime | None = Field(description="as the page states it; null where it does not")
    metadata: StoredMetadata


class QueryRecord(Answer):
    """How the query was understood. `tokens` were embedded for this search: 0 with a cached vector or none."""

    model: str
    index_version: str
    distance: Literal["cosine"] = "cosine"
    tokens: int
    embedding_cached: bool


class TookMilliseconds(Answer):
    auth: float
    embed: float
    search: float
    total: float


class SearchAnswer(Answer):
    """The chunks found, best first: always min(top_k, matching) of them.

    All match in the mode `dense`, those with a word of the query in `keyword`, all in `hybrid`. `degraded` says why a
    hybrid search was answered by keywords alone: `embedding_unavailable`.
    """

    model_config = ConfigDict(json_schema_extra={"examples": examples.SEARCH_ANSWER})

    results: list[SearchResult]
    query: QueryRecord
    total_candidates: int
    partial: bool = False
    degraded: str | None = None
    took_ms: TookMilliseconds
    next: str | None = None
