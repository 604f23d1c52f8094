"""Domain values that more than one part uses: closed sets and frozen records. No behaviour, no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, get_args
from uuid import UUID


class Stage(StrEnum):
    """Where an item is or failed: the values of `failed_stage`, a contract with callers."""

    SCRAPING = "scraping"
    CHUNKING = "chunking"
    EMBEDDING = "embedding"


class ItemStatus(StrEnum):
    """State of one URL of a job. `queued` may say why it waits in `waiting_reason`."""

    QUEUED = "queued"
    SCRAPING = "scraping"
    CHUNKING = "chunking"
    EMBEDDING = "embedding"
    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL_ITEM_STATUSES


TERMINAL_ITEM_STATUSES = frozenset(
    {
        ItemStatus.INDEXED,
        ItemStatus.UNCHANGED,
        ItemStatus.SKIPPED,
        ItemStatus.FAILED,
        ItemStatus.CANCELLED,
    }
)


class JobStatus(StrEnum):
    """State of one submission. Terminal states never change."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL_JOB_STATUSES


TERMINAL_JOB_STATUSES = frozenset({JobStatus.SUCCEEDED, JobStatus.PARTIAL, JobStatus.FAILED, JobStatus.CANCELLED})


class BatchState(StrEnum):
    """State of what one Dagster run works on."""

    CLAIMED = "claimed"
    RUNNING = "running"
    DONE = "done"
    LOST = "lost"


class BatchKind(StrEnum):
    INGEST = "ingest"
    REFRESH = "refresh"
    BACKFILL = "backfill"


class CallerType(StrEnum):
    USER = "user"
    SERVICE = "service"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """What a key may do: a caller has corpora and jobs of its own, an operator reads the audit record of everybody."""

    CALLER = "caller"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerContext:
    """Who calls. `caller_id` is an HMAC of the API key; the key itself is nowhere."""

    caller_id: str
    caller_type: CallerType
    tier: str | None = None
    scopes: frozenset[str] = frozenset()
    tenant: str | None = None


ChunkingStrategy = Literal["recursive", "headings", "sentences"]
CHUNKING_STRATEGIES: tuple[ChunkingStrategy, ...] = get_args(ChunkingStrategy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """How text is cut. Sizes are in tokens of the model's own tokenizer, special tokens included in the window."""

    max_tokens: int
    overlap_tokens: int
    strategy: ChunkingStrategy = "recursive"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChunk:
    """One piece of a document's text layer: `text == layer[start:end]`, offsets in Unicode code points."""

    ordinal: int
    text: str
    start: int
    end: int
    token_count: int
    heading: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsVerdict:
    """What robots.txt says of one URL. `rule` is the line or the reason, in words."""

    allowed: bool
    rule: str
    fetched_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage:
    """An answer to a GET. `body` is decoded of its content encoding; None when the server said 304.

    `is_noindex`: the page asks not to be indexed; `is_nofollow`: nor its links to be followed.
    """

    url: str
    final_url: str
    status: int
    body: bytes | None
    content_type: str
    charset: str | None
    etag: str | None
    last_modified: str | None
    robots: RobotsVerdict
    fetched_at: datetime
    is_noindex: bool = False
    is_nofollow: bool = False

    @property
    def is_unchanged(self) -> bool:
        return self.body is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """Elements of pages that a corpus leaves out: tags, and names of classes as a whole."""

    tags: Sequence[str] = ()
    classes: Sequence[str] = ()


NO_EXCLUSIONS = Exclusions()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLayer:
    """The text of a page, frozen once it is stored. `coverage` is the kept share of its own paragraphs, 0 to 1;
    `published_at` is what the page says of itself.
    """

    text: str
    title: str | None
    language: str | None
    coverage: float
    extractor: str
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedDocument:
    """The text layer of a page and its chunks. `coverage` is the kept share of the page's own paragraphs, 0 to 1."""

    title: str | None
    language: str | None
    text: str
    coverage: float
    extractor: str
    published_at: datetime | None = None
    chunks: list[TextChunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLinks:
    """What a page or a sitemap names, as absolute URLs in their order: pages, sitemaps, and its own better address."""

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)
    canonical: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """The mirror row of one entry of models.toml, with the relation that holds its vectors."""

    id: int
    name: str
    fingerprint: str
    dimension: int
    relation: str
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    id: UUID
    owner: str
    name: str
    partition_key: str
    created_at: datetime
