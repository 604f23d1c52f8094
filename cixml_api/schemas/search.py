"""Searches."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from cixml_api import examples
from cixml_api.schemas.common import Answer, Request, StoredMetadata


class SearchRequest(Request):
    """A question to one corpus."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.SEARCH_REQUEST})

    query: str = Field(min_length=1, max_length=8192)
    top_k: int = Field(default=10, ge=1, le=100)

    @field_validator("query")
    @classmethod
    def _has_words(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the query holds only white space: ask for something")
        return value


class Scores(Answer):
    vector: float


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
    """How the query was understood. `tokens` were embedded for this search: 0 when the vector was cached."""

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
    """The chunks nearest to the query, best first: always min(top_k, live chunks) of them."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.SEARCH_ANSWER})

    results: list[SearchResult]
    query: QueryRecord
    total_candidates: int
    partial: bool = False
    degraded: str | None = None
    took_ms: TookMilliseconds
    next: str | None = None
