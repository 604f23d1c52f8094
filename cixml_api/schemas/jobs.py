"""Jobs and their items."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from cixml_api import examples
from cixml_api.schemas.common import (
    CORPUS_ADDRESS,
    TRACE,
    Answer,
    ErrorRecord,
    ExternalId,
    ListMetadata,
    Metadata,
    Request,
    RobotsVerdict,
    StoredMetadata,
)
from cixml_api.schemas.crawls import Crawl, CrawlRequest
from cixml_api.schemas.documents import PushedDocument
from resources.types import BatchState, ItemStatus, JobStatus, Stage

MOST_RETRIED = 10_000


class UrlEntry(Request):
    """One URL with what the caller wants to find it by."""

    url: str = Field(description="absolute http or https URL")
    metadata: Metadata = Field(default_factory=dict, description="stored with the document")
    external_id: ExternalId | None = Field(default=None, description="the caller's own id")


def _branch(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<object>"


class JobRequest(Request):
    """URLs to fetch, and documents that come with the request, to cut, embed and make searchable in one corpus."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.JOB_REQUEST})

    corpus: str = Field(
        pattern=CORPUS_ADDRESS,
        description="made on first use, unless `create_corpus` is false; another caller's is `owner:name`",
    )
    create_corpus: bool = True
    urls: list[
        Annotated[Annotated[str, Tag("<text>")] | Annotated[UrlEntry, Tag("<object>")], Discriminator(_branch)]
    ] = Field(default=[], fail_fast=True)
    documents: list[PushedDocument] = Field(
        default=[], fail_fast=True, description="texts that are not fetched; no external id twice"
    )
    crawl: CrawlRequest | None = Field(default=None, description="find more pages, beginning with `urls`")


class RetryRequest(Request):
    """Which items of a job to retry: those that pass every field given."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.RETRY_REQUEST})

    only: list[Literal["failed", "cancelled"]] = Field(
        default=["failed", "cancelled"], min_length=1, max_length=100, fail_fast=True
    )
    stages: list[Literal["scraping", "chunking", "embedding"]] | None = Field(
        default=None, min_length=1, max_length=100, fail_fast=True, description="only what failed in these stages"
    )
    items: list[str] | None = Field(
        default=None, min_length=1, max_length=MOST_RETRIED, fail_fast=True, description="only these items"
    )


class ItemCounts(Answer):
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


class Usage(Answer):
    """What a job used. `cached_tokens` were embedded before and are not paid again."""

    pages: int
    bytes: int
    chunks: int
    embedding_tokens: int
    cached_tokens: int


class QueuePlace(Answer):
    """Where a job stands in the queue that all callers share fairly.

    `ahead_of_you` items of all callers begin before the job's next one; `your_share` of the work is the caller's.
    """

    ahead_of_you: int | None = Field(description="null where the caller's own queue is too long to tell")
    your_share: float


class Waiting(Answer):
    """Why items wait: `queue` (for their turn), `no_worker`, or what an item's `waiting_reason` says."""

    reason: str
    items: int
    next_attempt_at: datetime | None = Field(description="when the first of them is tried again")


class Run(Answer):
    """A run of the pipeline that took items of this job last; `state` is that of its batch."""

    run_id: str
    partition: str
    state: BatchState
    items: int
    started_at: datetime | None
    finished_at: datetime | None


class JobLinks(Answer):
    """Where the job is read, and where it is acted on (`cancel` and `retry` take a POST)."""

    self: str
    items: str
    events: str
    cancel: str
    retry: str


class Job(Answer):
    """One submission. Terminal states (succeeded, partial, failed, cancelled) never change."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.JOB})

    id: str
    status: JobStatus
    version: int
    corpus: str
    caller_id: str
    parent_job_id: str | None = Field(description="the job that this one retries items of")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failed_stage: Stage | None
    error: ErrorRecord | None
    cancel_requested: bool
    items: ItemCounts
    progress: float = Field(ge=0, le=1)
    eta_seconds: int | None = Field(description="from the recent pace and what is ahead; null when it is not known")
    queue: QueuePlace | None = Field(
        description="of an open job; told by `GET /v1/jobs/{id}` alone, like `eta_seconds`"
    )
    waiting: list[Waiting] = Field(description="told by `GET /v1/jobs/{id}` alone")
    runs: list[Run] = Field(description="the last 20; told by `GET /v1/jobs/{id}` alone")
    usage: Usage
    trace_id: str | None = Field(description=TRACE)
    crawl: Crawl | None = Field(description="of a job that finds pages by itself; its items grow in number meanwhile")
    links: JobLinks


class JobProgress(Answer):
    """What changes while a job runs: the data of a `progress` event."""

    version: int
    status: JobStatus
    items: ItemCounts
    progress: float = Field(ge=0, le=1)


class JobList(Answer):
    content: list[Job]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


class HttpRecord(Answer):
    """What the page's server answered last."""

    status: int | None
    etag: str | None
    bytes: int
    fetched_at: datetime | None


class ChunkCounts(Answer):
    """Chunks of the item's page: in all, and against the version before."""

    total: int
    added: int
    kept: int
    removed: int


class Item(Answer):
    """One URL of a job, or a pushed document, which has none.

    `waiting_reason` says why a queued item waits (breaker, host, robots, ...).
    """

    model_config = ConfigDict(json_schema_extra={"examples": examples.ITEM})

    id: str
    url: str | None
    final_url: str | None
    external_id: str | None
    metadata: StoredMetadata
    status: ItemStatus
    failed_stage: Stage | None
    attempts: int
    next_attempt_at: datetime | None
    waiting_reason: str | None
    http: HttpRecord
    robots: RobotsVerdict | None
    change: str | None
    chunks: ChunkCounts
    document_id: str | None
    error: ErrorRecord | None
    duplicate_of: str | None = Field(
        description="the item of the same URL, or of the page that is this one's canonical address or has its text"
    )
    retried_as: str | None = Field(description="the item of the latest retry; a dead letter is one that has none")
    kind: Literal["page", "sitemap"] = Field(description="a sitemap is read for URLs and makes no document")
    depth: int | None = Field(description="of a crawl: links from a URL of the request")
    parent_item_id: str | None = Field(description="of a crawl: the item that named this URL first")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ItemList(Answer):
    content: list[Item]
    metadata: ListMetadata = Field(serialization_alias="_metadata")


class PlacedItem(Item):
    """An item with its job and the address of its corpus."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.PLACED_ITEM})

    job_id: str
    corpus: str


class PlacedItemList(Answer):
    content: list[PlacedItem]
    metadata: ListMetadata = Field(serialization_alias="_metadata")
