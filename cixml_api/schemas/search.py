"""Searches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from cixml_api import search_examples as examples
from cixml_api.schemas.common import CORPUS_ADDRESS, Answer, Request, StoredMetadata
from cixml_api.schemas.filters import Filter, check_size

MODES = "by the nearest vectors (`dense`, or `vector`), by the query's words (BM25), or by both, fused by rank"


def has_words(value: str) -> str:
    """Refuse a query that asks for nothing."""
    if not value.strip():
        raise ValueError("the query holds only white space: ask for something")
    return value


def _usual_name(value: object) -> object:
    return "dense" if value == "vector" else value


QueryText = Annotated[str, Field(min_length=1, max_length=8192), AfterValidator(has_words)]
TopK = Annotated[int, Field(ge=1, le=100)]
Mode = Annotated[
    Literal["dense", "keyword", "hybrid"],
    BeforeValidator(_usual_name),
    WithJsonSchema({"type": "string", "enum": ["dense", "vector", "keyword", "hybrid"]}),
]


class Question(Request):
    """What is asked, of one corpus or of several."""

    query: QueryText
    top_k: TopK = 10
    mode: Mode = Field(default="dense", description=MODES)
    filter: Annotated[Filter, AfterValidator(check_size)] | None = Field(
        default=None, description="only chunks of documents that pass it are looked at"
    )
    threshold: float | None = Field(
        default=None, ge=-1, le=1, description="the least cosine similarity of a result; for the mode `dense` alone"
    )
    group_by: Literal["document"] | None = Field(
        default=None, description="leave out of each document what comes after its `group_size` best chunks"
    )
    group_size: int | None = Field(default=None, ge=1, le=10, description="1 unless given; with `group_by`")
    neighbours: int = Field(default=0, ge=0, le=5, description="chunks before and after each result")
    include: list[Literal["highlights"]] = Field(
        default=[], max_length=1, description="`highlights`: where words of the query stand in the text"
    )
    explain: bool = Field(default=False, description="tell how each result came to its place")
    cursor: str | None = Field(
        default=None, max_length=500, description="`next` of the answer before, to the same question"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.group_size is not None and self.group_by is None:
            raise ValueError("'group_size' says how many of a document: 'group_by' is missing")
        if self.threshold is not None and self.mode != "dense":
            raise ValueError("'threshold' is a cosine similarity: only the mode 'dense' ranks by it")
        return self


class SearchRequest(Question):
    """A question to one corpus."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.SEARCH_REQUEST})


class CorporaSearchRequest(Question):
    """A question to several corpora at once."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CORPORA_SEARCH_REQUEST})

    corpora: list[Annotated[str, Field(pattern=CORPUS_ADDRESS)]] = Field(min_length=1, max_length=20)

    @field_validator("corpora")
    @classmethod
    def _are_different(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("a corpus stands there twice: name each once")
        return value


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


class NeighbourChunk(Answer):
    """A chunk right before or after the result, in the same document."""

    chunk_id: str
    ordinal: int
    text: str
    offsets: Offsets


class Explanation(Answer):
    """The result's places by vectors and by words, null where it was not found so, and its distance (1 - cosine)."""

    vector_rank: int | None
    keyword_rank: int | None
    distance: float | None


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
    highlights: list[Annotated[list[int], Field(min_length=2, max_length=2)]] | None = Field(
        default=None, description="from and to in `text`, in code points; null unless included"
    )
    neighbours: list[NeighbourChunk] | None = Field(default=None, description="in order; null unless asked for")
    explain: Explanation | None = None


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
    next: str | None = Field(default=None, description="the `cursor` of the results after these, up to 1,000")


class CorpusQueryRecord(QueryRecord):
    """How one corpus was asked."""

    corpus: str


class CorporaSearchAnswer(Answer):
    """The best chunks of all the corpora.

    In the mode `dense`, cosines are compared if one model serves all; else the corpora's results are fused by rank.
    """

    model_config = ConfigDict(json_schema_extra={"examples": examples.CORPORA_SEARCH_ANSWER})

    results: list[SearchResult]
    queries: list[CorpusQueryRecord]
    total_candidates: int
    degraded: str | None
    took_ms: TookMilliseconds
    next: str | None = Field(default=None, description="the `cursor` of the results after these, up to 1,000")
