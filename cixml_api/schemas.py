"""The bodies of requests and answers: a contract. Additive changes only; values of enums may be added.

Requests refuse unknown fields and do not convert (the string "10" is no number).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, field_validator

from cixml_api import examples
from resources.types import ItemStatus, JobStatus, Stage

CORPUS_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
MOST_METADATA_BYTES = 16_384


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# Requests ------------------------------------------------------------------------------------------------------------


class UrlEntry(_Request):
    """One URL with what the caller wants to find it by."""

    url: str = Field(description="absolute http or https URL")
    metadata: dict[str, JsonValue] = Field(default_factory=dict, description="stored with the document")
    external_id: str | None = Field(default=None, min_length=1, max_length=256, description="the caller's own id")

    @field_validator("metadata")
    @classmethod
    def _is_small(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if len(str(value)) > MOST_METADATA_BYTES:
            raise ValueError(f"the metadata of one URL may have {MOST_METADATA_BYTES} characters: store less of it")
        return value


def _branch(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<object>"


class JobRequest(_Request):
    """URLs to fetch, cut, embed and make searchable in one corpus."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.JOB_REQUEST})

    corpus: str = Field(pattern=CORPUS_NAME, description="made on first use, unless `create_corpus` is false")
    create_corpus: bool = True
    urls: list[
        Annotated[Annotated[str, Tag("<text>")] | Annotated[UrlEntry, Tag("<object>")], Discriminator(_branch)]
    ] = Field(min_length=1)


class SearchRequest(_Request):
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


# Errors --------------------------------------------------------------------------------------------------------------


class ProblemField(_Answer):
    """One field that is wrong."""

    pointer: str
    error_code: str
    detail: str


class Problem(_Answer):
    """RFC 9457 problem details, with the house's `error_code`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error_code: str
    request_id: str | None
    trace_id: str | None
    retryable: bool
    errors: list[ProblemField] = []


class ErrorRecord(_Answer):
    """Why an item or a job failed."""

    code: str
    failed_stage: Stage | None = None
    retryable: bool = False
    http_status: int | None = None
    attempts: int | None = None
    detail: str | None = None


# Lists ---------------------------------------------------------------------------------------------------------------


class ListMetadata(_Answer):
    """Where this answer stands in its list. `next` is the `cursor` of the next answer, null at the end."""

    limit: int
    order: str
    next: str | None
    total_records: int
    total_is_exact: bool
    warnings: list[str]


# Jobs ----------------------------------------------------------------------------------------------------------------


class ItemCounts(_Answer):
    """Items of a job by state."""

    total: int
    queued: int
    scraping: int
    chunking: int
    embedding: int
    indexed: int
    unchanged: int
    skipped: int
    failed: int
    cancelled: int


class Usage(_Answer):
    """What a job used. `cached_tokens` were embedded before and are not paid again."""

    pages: int
    bytes: int
    chunks: int
    embedding_tokens: int
    cached_tokens: int


class JobLinks(_Answer):
    self: str
    items: str


class Job(_Answer):
    """One submission. Terminal states (succeeded, partial, failed, cancelled) never change."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.JOB})

    id: str
    status: JobStatus
    version: int
    corpus: str
    caller_id: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failed_stage: Stage | None
    error: ErrorRecord | None
    cancel_requested: bool
    items: ItemCounts
    progress: float = Field(ge=0, le=1)
    usage: Usage
    links: JobLinks


class JobList(_Answer):
    content: list[Job]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


class HttpRecord(_Answer):
    """What the page's server answered last."""

    status: int | None
    etag: str | None
    bytes: int
    fetched_at: datetime | None


class ChunkCounts(_Answer):
    """Chunks of the item's page: in all, and against the version before."""

    total: int
    added: int
    kept: int
    removed: int


class Item(_Answer):
    """One URL of a job. `waiting_reason` says why a queued item waits (breaker, host, robots, ...)."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.ITEM})

    id: str
    url: str
    final_url: str | None
    external_id: str | None
    metadata: dict[str, Any]
    status: ItemStatus
    failed_stage: Stage | None
    attempts: int
    next_attempt_at: datetime | None
    waiting_reason: str | None
    http: HttpRecord
    robots: dict[str, Any] | None
    change: str | None
    chunks: ChunkCounts
    document_id: str | None
    error: ErrorRecord | None
    duplicate_of: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ItemList(_Answer):
    content: list[Item]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


# Corpora and documents -----------------------------------------------------------------------------------------------


class CorpusCounts(_Answer):
    documents: int
    chunks: int


class ActiveIndex(_Answer):
    """The index version that answers searches."""

    id: str
    model: str
    kind: Literal["exact", "hnsw"]
    state: Literal["serving"] = "serving"
    chunking: dict[str, Any]


class Freshness(_Answer):
    """When the corpus's pages were last found current: the longest ago and the latest."""

    oldest: datetime | None
    newest: datetime | None


class Corpus(_Answer):
    """What a caller searches. `partition` is its key in the pipeline."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.CORPUS})

    name: str
    partition: str
    created_at: datetime
    counts: CorpusCounts
    active_index: ActiveIndex | None
    freshness: Freshness


class CorpusList(_Answer):
    content: list[Corpus]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


class Document(_Answer):
    """A live document: a search can find it. `snapshot` is the version that is live."""

    id: str
    url: str
    external_id: str | None
    metadata: dict[str, Any]
    title: str | None
    language: str | None
    chunk_count: int
    snapshot: str
    fetched_at: datetime
    checked_at: datetime | None


class DocumentList(_Answer):
    content: list[Document]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


# Search --------------------------------------------------------------------------------------------------------------


class Scores(_Answer):
    vector: float


class Offsets(_Answer):
    """Where the chunk stands in the document's text layer."""

    start: int
    end: int
    unit: str = "unicode code point of text layer"


class SearchResult(_Answer):
    """One chunk found. `score` is higher for the better."""

    rank: int
    score: float
    scores: Scores
    chunk_id: str
    document_id: str
    corpus: str
    url: str
    title: str | None
    text: str
    ordinal: int
    offsets: Offsets
    text_sha256: str
    snapshot: str
    fetched_at: datetime
    metadata: dict[str, Any]


class QueryRecord(_Answer):
    """How the query was understood. `tokens` were embedded for this search: 0 when the vector was cached."""

    model: str
    index_version: str
    distance: Literal["cosine"] = "cosine"
    tokens: int
    embedding_cached: bool


class TookMilliseconds(_Answer):
    auth: float
    embed: float
    search: float
    total: float


class SearchAnswer(_Answer):
    """The chunks nearest to the query, best first: always min(top_k, live chunks) of them."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.SEARCH_ANSWER})

    results: list[SearchResult]
    query: QueryRecord
    total_candidates: int
    partial: bool = False
    degraded: str | None = None
    took_ms: TookMilliseconds
    next: str | None = None


# Health --------------------------------------------------------------------------------------------------------------


class Live(_Answer):
    status: Literal["ok"] = "ok"


class Ready(_Answer):
    """Whether this process may get requests. Each check is `ok` or says what is wrong."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]


class PartHealth(_Answer):
    status: Literal["ok", "down"]
    detail: str | None = None


class BreakerHealth(_Answer):
    """The circuit breaker of one embedding server."""

    model: str
    breaker: Literal["closed", "open", "half_open"]
    since_seconds: float
    retry_after_seconds: float
    reason: str | None
    shared: bool


class QueueHealth(_Answer):
    """Items over all callers."""

    ready: int
    waiting: int
    leased: int
    oldest_seconds: float


class Health(_Answer):
    """Details for the operator. `degraded`: it works, but not all of it; `warnings` name what and the remedy."""

    status: Literal["ok", "degraded", "down"]
    postgres: PartHealth
    redis: PartHealth
    embedding: list[BreakerHealth]
    queue: QueueHealth | None
    worker_slots: int | None
    warnings: list[str]
