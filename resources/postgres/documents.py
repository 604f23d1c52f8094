"""Documents of a caller's corpus: listed, read with their versions, chunks and contents. Nothing is written here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from resources.postgres.corpora import COUNT_CAP, CorpusKey
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query

MOST_VERSIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFilter:
    """Which documents a list holds; None does not filter. `statuses` are live and pending."""

    statuses: Sequence[str] = ("live",)
    url_key: str | None = None
    external_id: str | None = None
    languages: Sequence[str] | None = None
    changed_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDocument:
    """A document and the version of it that is live. One that never was live has no facts of a version."""

    id: UUID
    url: str | None
    external_id: str | None
    metadata: dict[str, Any]
    title: str | None
    language: str | None
    content_type: str | None
    bytes: int | None
    chunk_count: int
    published_at: datetime | None
    fetched_at: datetime | None
    changed_at: datetime | None
    checked_at: datetime | None
    live_version_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentWithVersions(ListedDocument):
    """One document and its newest versions; `fetch_seq` grows with each that goes live."""

    fetch_seq: int
    versions: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveChunkSet:
    """The live version of a document and how many chunks it has; no version: nothing of it is live."""

    live_version_id: UUID | None
    chunk_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChunk:
    """One chunk. Offsets count code points of the text layer."""

    id: UUID
    ordinal: int
    text: str
    start: int
    end: int
    token_count: int
    heading: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A stored layer of a live version. `body` is None for who knows its hash."""

    content_type: str
    charset: str | None
    sha256: str
    body: bytes | None


async def list_documents(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    corpus: CorpusKey,
    where: DocumentFilter,
    after_id: UUID | None,
    limit: int,
) -> list[ListedDocument]:
    """Return documents of the caller's corpus, oldest first."""
    parameters = _filter(corpus, where) | {"after_id": after_id, "limit": limit}
    return await fetch_as(connection, caller_id, query("list_documents"), parameters, rows=class_row(ListedDocument))


async def count_documents(
    connection: AsyncConnection[TupleRow], *, caller_id: str, corpus: CorpusKey, where: DocumentFilter
) -> int | None:
    """Count documents that pass the filter, up to COUNT_CAP; None when the caller has no such corpus."""
    parameters = _filter(corpus, where) | {"cap": COUNT_CAP}
    found = await fetch_as(connection, caller_id, query("count_documents"), parameters, rows=scalar_row)
    return found[0] if found else None


async def get_document(
    connection: AsyncConnection[TupleRow], *, caller_id: str, corpus: CorpusKey, document_id: UUID
) -> DocumentWithVersions | None:
    """Return one document of the caller's corpus."""
    parameters = _one(corpus, document_id) | {"versions": MOST_VERSIONS}
    rows = class_row(DocumentWithVersions)
    found = await fetch_as(connection, caller_id, query("get_document"), parameters, rows=rows)
    return found[0] if found else None


async def live_chunk_set(
    connection: AsyncConnection[TupleRow], *, caller_id: str, corpus: CorpusKey, document_id: UUID
) -> LiveChunkSet | None:
    """Return which version of a document is live and how it is cut; None when the caller has no such document."""
    parameters = _one(corpus, document_id)
    found = await fetch_as(connection, caller_id, query("live_chunk_set"), parameters, rows=class_row(LiveChunkSet))
    return found[0] if found else None


async def list_chunks(
    connection: AsyncConnection[TupleRow], *, caller_id: str, version_id: UUID, after_ordinal: int, limit: int
) -> list[DocumentChunk]:
    """Return chunks of a version that the caller may see, in order."""
    parameters = {"version_id": version_id, "after_ordinal": after_ordinal, "limit": limit}
    return await fetch_as(connection, caller_id, query("list_chunks"), parameters, rows=class_row(DocumentChunk))


async def live_content(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    corpus: CorpusKey,
    document_id: UUID,
    layer: Literal["raw", "text"],
    known: Collection[str],
) -> Content | None:
    """Return the bytes or the text of a document's live version, but no body for a hash among `known`."""
    parameters = _one(corpus, document_id) | {"known": list(known)}
    statement = query("live_bytes" if layer == "raw" else "live_text")
    found = await fetch_as(connection, caller_id, statement, parameters, rows=class_row(Content))
    return found[0] if found else None


def _filter(corpus: CorpusKey, where: DocumentFilter) -> dict[str, Any]:
    record = asdict(where) | asdict(corpus)
    for name in ("statuses", "languages"):
        record[name] = None if record[name] is None else list(record[name])
    return record


def _one(corpus: CorpusKey, document_id: UUID) -> dict[str, Any]:
    return asdict(corpus) | {"document_id": document_id}
