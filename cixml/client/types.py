"""The API's answers. Fields and values that are added later are kept, not refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from pydantic import Field

from cixml.client.base import Answer, ErrorRecord, ListMetadata, Metadata
from cixml.client.index_types import IndexVersion

ENDED = frozenset({"succeeded", "partial", "failed", "cancelled"})


class ItemCounts(Answer):
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

    @property
    def ended(self) -> int:
        return self.indexed + self.unchanged + self.skipped + self.failed + self.cancelled


class JobUsage(Answer):
    pages: int
    bytes: int
    chunks: int
    embedding_tokens: int
    cached_tokens: int


class QueuePlace(Answer):
    ahead_of_you: int | None
    your_share: float


class Waiting(Answer):
    """Why items wait."""

    reason: str
    items: int
    next_attempt_at: datetime | None


class Crawl(Answer):
    """How a job finds pages by itself."""

    mode: str
    max_depth: int
    max_pages: int
    include: list[str]
    exclude: list[str]
    same_host: bool
    pages_found: int
    pages_left_out: int


class Run(Answer):
    run_id: str
    partition: str
    state: str
    items: int
    started_at: datetime | None
    finished_at: datetime | None


class JobLinks(Answer):
    self: str
    items: str
    events: str
    cancel: str
    retry: str


class Job(Answer):
    """One submission."""

    id: str
    status: str
    version: int
    corpus: str
    caller_id: str
    parent_job_id: str | None
    crawl: Crawl | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failed_stage: str | None
    error: ErrorRecord | None
    cancel_requested: bool
    items: ItemCounts
    progress: float
    eta_seconds: int | None
    queue: QueuePlace | None
    waiting: list[Waiting]
    runs: list[Run]
    usage: JobUsage
    trace_id: str | None = None
    links: JobLinks

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_good(self) -> bool:
        """Return whether it has ended and something of it can be found."""
        return self.status in ("succeeded", "partial")


class JobProgress(Answer):
    version: int
    status: str
    items: ItemCounts
    progress: float


class HttpRecord(Answer):
    status: int | None
    etag: str | None
    bytes: int
    fetched_at: datetime | None


class RobotsRecord(Answer):
    """What the host's robots.txt says of the page. `rule` is the line that decided, or the reason, in words."""

    allowed: bool
    rule: str
    fetched_at: datetime


class ChunkCounts(Answer):
    total: int
    added: int
    kept: int
    removed: int


class Item(Answer):
    """One URL or document of a job. Who lists failed items over all jobs also gets `job_id` and `corpus`."""

    id: str
    url: str | None
    final_url: str | None
    external_id: str | None
    metadata: Metadata
    status: str
    failed_stage: str | None
    attempts: int
    next_attempt_at: datetime | None
    waiting_reason: str | None
    http: HttpRecord
    robots: RobotsRecord | None
    change: str | None
    chunks: ChunkCounts
    document_id: str | None
    error: ErrorRecord | None
    duplicate_of: str | None
    retried_as: str | None
    kind: str
    depth: int | None
    parent_item_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def name(self) -> str:
        return self.url or self.external_id or self.id


class PlacedItem(Item):
    job_id: str
    corpus: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a job: `job` and `end` carry the job, `item` an item, `progress` the counts."""

    name: str
    id: str
    data: Job | Item | JobProgress


class Grant(Answer):
    caller_id: str
    role: str
    granted_at: datetime


class GrantList(Answer):
    content: list[Grant]


class CorpusCounts(Answer):
    documents: int
    chunks: int
    bytes: int


class ExclusionsRecord(Answer):
    """Elements that are left out of HTML pages."""

    tags: list[str]
    classes: list[str]


class Freshness(Answer):
    oldest: datetime | None
    newest: datetime | None


class Corpus(Answer):
    """A corpus. `address` is how this caller names it; `etag`, where one was read alone, is for `if_match`."""

    name: str
    owner: str
    address: str
    role: str
    title: str | None
    require_if_match: bool
    exclusions: ExclusionsRecord
    partition: str
    created_at: datetime
    updated_at: datetime
    counts: CorpusCounts
    active_index: IndexVersion | None
    index_versions: list[IndexVersion]
    freshness: Freshness
    grants: list[Grant] | None
    etag: str | None = None


class Document(Answer):
    id: str
    url: str | None
    external_id: str | None
    metadata: Metadata
    status: str
    title: str | None
    language: str | None
    content_type: str | None
    bytes: int | None
    chunk_count: int
    snapshot: str | None
    published_at: datetime | None
    fetched_at: datetime | None
    changed_at: datetime | None
    checked_at: datetime | None

    @property
    def name(self) -> str:
        return self.url or self.external_id or self.id


class DocumentVersion(Answer):
    id: str
    is_live: bool
    fetched_at: datetime
    live_from: datetime | None
    live_to: datetime | None
    final_url: str | None
    http_status: int | None
    etag: str | None
    last_modified: str | None
    content_type: str
    bytes: int
    sha256: str
    text_sha256: str | None
    title: str | None
    language: str | None
    published_at: datetime | None


class DocumentDetail(Document):
    versions: list[DocumentVersion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is stored of a document. Stored pages are hostile: don't show them as they are."""

    body: bytes
    content_type: str


class Chunk(Answer):
    id: str
    ordinal: int
    text: str
    start: int
    end: int
    token_count: int
    heading: str | None


class Source(Answer):
    url: str | None
    external_id: str | None
    document_id: str
    title: str | None
    fetched_at: datetime | None
    checked_at: datetime | None


class DeletionCount(Answer):
    documents: int


class Removed(Answer):
    """What a deletion removed until now."""

    documents: int
    versions: int
    page_bodies: int
    chunk_sets: int
    chunks: int
    lexemes: int
    vectors: int
    jobs: int
    items: int
    batches: int
    relations: int
    index_versions: int
    grants: int
    partitions: int


class Receipt(Answer):
    """What became of a deletion."""

    id: str
    kind: str
    corpus: str
    status: str
    waits_for: str | None
    requested_at: datetime
    finished_at: datetime | None
    trace_id: str | None = None
    removed: Removed


class UsageNumbers(Answer):
    pages: int
    bytes: int
    chunks: int
    embedding_tokens: int
    cached_tokens: int
    searches: int


class UsageGroup(UsageNumbers):
    """The numbers of one group; what is not grouped by is None."""

    caller_id: str | None
    corpus: str | None
    model: str | None
    operation: str | None
    day: date | None


class UsageReport(Answer):
    from_: date = Field(alias="from")
    to: date
    total: UsageNumbers
    content: list[UsageGroup]
    metadata: ListMetadata = Field(alias="_metadata")


class Allowance(Answer):
    limit: int | None
    used: int
    reset_seconds: float | None


class Quota(Answer):
    requests_per_minute: Allowance
    queued_pages: Allowance
    corpora: Allowance
    tokens_per_day: Allowance


class PartHealth(Answer):
    status: str
    detail: str | None = None


class Health(Answer):
    """The parts, as the operator sees them; more fields than these come with it."""

    status: str
    postgres: PartHealth
    redis: PartHealth
    warnings: list[str]
