"""What flows between the assets: streams that are read once while they are written, never a list of a whole corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from resources.errors import (
    ChunkingError,
    EmbeddingRejectedError,
    EmbeddingUnavailableError,
    ExtractorUnavailableError,
    ScrapingError,
)
from resources.orchestration.early_graph import EarlyGraph
from resources.orchestration.fill_progress import FillProgress
from resources.orchestration.lease import Lease
from resources.orchestration.vector_plan import VectorPlan
from resources.postgres import chunks, corpus_lock, index_builds, pages, promotions
from resources.postgres.batches import IndexVersion
from resources.postgres.chunks import BatchChunk, ChunkedVersion
from resources.postgres.crawls import FoundItem
from resources.postgres.pages import FetchItem, VersionBody, VersionToChunk
from resources.types import FetchedPage, PageLinks


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a crawl reads in one of its pages: what to go on to, and why the page itself is left out, if it is.

    `interruption`: the extractor was away, the page is to be read another time.
    """

    found: Sequence[FoundItem] = ()
    canonical: FoundItem | None = None
    left_out: ScrapingError | None = None
    interruption: ExtractorUnavailableError | None = None

    @property
    def names(self) -> list[FoundItem]:
        """Return all that is to become an item, once each, the page's own address first."""
        first: dict[str, FoundItem] = {}
        for each in (*([self.canonical] if self.canonical else []), *self.found):
            first.setdefault(each.url_key, each)
        return list(first.values())


class LinkReader(Protocol):
    """Reads what a page or a sitemap names. Raises ChunkingError or ExtractorUnavailableError."""

    async def __call__(
        self, *, kind: str, body: bytes, content_type: str, charset: str | None, url: str
    ) -> PageLinks: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOutcome:
    """One item fetched, or why not. A page that asks not to be indexed has both: a crawl may go on to its links."""

    item: FetchItem
    page: FetchedPage | None = None
    error: ScrapingError | None = None
    finding: Finding | None = None

    @property
    def robots(self) -> dict[str, object] | None:
        """Return the JSONB form of what robots.txt says of the page, None where it was not asked."""
        verdict = self.page.robots if self.page else self.error.robots if self.error else None
        return pages.robots_record(verdict) if verdict else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageToChunk:
    """A version that lacks its chunk set, with its bytes."""

    version: VersionToChunk
    body: VersionBody


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOutcome:
    """One version cut, or why not."""

    version: VersionToChunk
    chunked: ChunkedVersion | None = None
    error: ChunkingError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedTexts:
    """One answer of the embedding server: row i is the vector of `hashes[i]`; refused texts are in `rejected` alone."""

    hashes: Sequence[UUID]
    vectors: npt.NDArray[np.float32]
    rejected: Mapping[UUID, EmbeddingRejectedError] = field(default_factory=dict)
    tokens: int = 0


class FetchStream:
    """The outcomes of a batch's fetches. After `stop()` no further item is started; `unstarted` says which were not."""

    def __init__(
        self,
        *,
        lease: Lease,
        items: Sequence[FetchItem],
        outcomes: Iterable[FetchOutcome],
        stopped: Event,
        reader: LinkReader | None = None,
    ) -> None:
        """Without a `reader` nothing is looked for in pages of a crawl."""
        self.lease = lease
        self.reader = reader
        self._items = items
        self._outcomes = outcomes
        self._stopped = stopped
        self._seen: set[UUID] = set()

    def __iter__(self) -> Iterator[FetchOutcome]:
        for outcome in self._outcomes:
            self._seen.add(outcome.item.item_id)
            yield outcome

    def stop(self) -> None:
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    @property
    def unstarted(self) -> list[UUID]:
        """Return the items without an outcome, once the stream was read to its end."""
        return [item.item_id for item in self._items if item.item_id not in self._seen]


@dataclass(slots=True, kw_only=True)
class ChunkStream:
    """The outcomes of a batch's extraction, and what cut the stream short, if anything."""

    lease: Lease
    index: IndexVersion
    outcomes: Iterable[ChunkOutcome]
    interruption: ExtractorUnavailableError | None = None

    @property
    def fills(self) -> bool:
        """Return whether they are for a version that does not serve."""
        return self.lease.is_backfill and self.index.state != "serving"


class ChunksToEmbed:
    """The chunks of a batch's documents for one index version; texts are read a few at a time, when they are sent."""

    def __init__(self, lease: Lease, index: IndexVersion) -> None:
        self.lease = lease
        self.index = index

    @property
    def fills(self) -> bool:
        """Return whether they are for a version that does not serve."""
        return self.lease.is_backfill and self.index.state != "serving"

    def rows(self) -> list[BatchChunk]:
        """Return every chunk, and whether its vector is stored: of a version to fill also where another has it."""
        if self.fills:
            self._reuse()
        with self.lease.reading() as connection:
            corpus_lock.share(connection, corpus_id=self.lease.batch.corpus_id)
            index = promotions.current(connection, self.index, serves=self.lease.serves)
            return chunks.of_batch(
                connection,
                batch_id=self.lease.batch.batch_id,
                chunking_fp=index.chunking_fp,
                relation=index.relation,
            )

    def _reuse(self) -> None:
        with self.lease.transaction() as connection:
            corpus_lock.share(connection, corpus_id=self.lease.batch.corpus_id)
            index_builds.reuse_vectors(connection, batch_id=self.lease.batch.batch_id, index=self.index)

    def texts(self, hashes: Sequence[UUID]) -> dict[UUID, str]:
        """Return the texts of `hashes`, in that order, without those whose documents were deleted meanwhile."""
        with self.lease.reading() as connection:
            found = chunks.texts(connection, corpus_id=self.lease.batch.corpus_id, hashes=hashes)
        return {chunk_hash: found[chunk_hash] for chunk_hash in hashes if chunk_hash in found}


@dataclass(slots=True, kw_only=True)
class VectorStream:
    """The answers of the embedding server for a batch's missing chunks, and what cut the stream short, if anything."""

    lease: Lease
    index: IndexVersion
    plan: VectorPlan
    answers: Iterable[EmbeddedTexts]
    progress: FillProgress | None = None
    graph: EarlyGraph | None = None
    interruption: EmbeddingUnavailableError | None = None
