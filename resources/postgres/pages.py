"""What was fetched: page bodies, documents and their versions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.postgres.queries import query
from resources.types import FetchedPage, RobotsVerdict, TextLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchItem:
    """An item to fetch, and what is known of the live version of its document for a conditional request.

    `paused_seconds`: so long ago it was first told that its host is paused. Without a URL it is one whose pushed
    content is stored no more. With a `depth` it is of a job that crawls.
    """

    item_id: UUID
    url: str | None
    url_key: str
    fetch_seq: int
    attempts: int
    paused_seconds: float
    document_id: UUID | None
    etag: str | None
    last_modified: str | None
    validated_url: str | None
    body_sha256: bytes | None
    live_version_id: UUID | None = None
    caller_id: str = ""
    kind: str = "page"
    depth: int | None = None
    crawl: dict[str, Any] | None = None

    @property
    def is_sitemap(self) -> bool:
        return self.kind == "sitemap"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionToChunk:
    """A document version that lacks the chunk set. `item_id` is None when a backfill works on it."""

    item_id: UUID | None
    document_version_id: UUID
    corpus_id: UUID
    url_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionBody:
    """The bytes of a version and what its server, or who pushed it, said they are; or the text layer they became."""

    document_version_id: UUID
    final_url: str | None
    content_type: str
    charset: str | None
    body: bytes | None
    text: str | None
    title: str | None
    language: str | None
    coverage: float | None
    extractor: str | None
    published_at: datetime | None
    exclusions: dict[str, list[str]]

    @property
    def layer(self) -> TextLayer | None:
        """The frozen text layer, None where the bytes still have to be read."""
        if self.text is None:
            return None
        return TextLayer(
            text=self.text,
            title=self.title,
            language=self.language,
            coverage=1.0 if self.coverage is None else self.coverage,
            extractor=self.extractor or "",
            published_at=self.published_at,
        )


def sha256(body: bytes) -> bytes:
    """Return the address of a page body: the same bytes are stored once."""
    return hashlib.sha256(body).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPause:
    """What the host of an item asked for: no further request for so many seconds."""

    item_id: UUID
    seconds: float
    reason: str


def robots_record(robots: RobotsVerdict) -> dict[str, object]:
    """Return the JSONB form of a verdict."""
    return {"allowed": robots.allowed, "rule": robots.rule, "fetched_at": robots.fetched_at.isoformat()}


def fetch_items(connection: Connection[TupleRow], *, batch_id: UUID) -> list[FetchItem]:
    """Return what the batch still has to fetch. Each gets a fetch number: an older fetch never replaces a newer one."""
    with connection.cursor(row_factory=class_row(FetchItem)) as cursor:
        return cursor.execute(query("fetch_items"), {"batch_id": batch_id}).fetchall()


def store_pages(connection: Connection[TupleRow], pages: Sequence[tuple[FetchItem, FetchedPage]]) -> None:
    """Store bytes, documents and versions, and move the items on to chunking.

    In the order of the content's hashes: two batches that fetch the same pages would wait for each other crosswise.
    """
    if not pages:
        return
    ordered = sorted(pages, key=lambda pair: sha256(pair[1].body or b""))
    with connection.cursor() as cursor:
        cursor.executemany(query("store_page"), [_page_row(item, page) for item, page in ordered])


def touch(connection: Connection[TupleRow], *, item: FetchItem, checked_at: datetime) -> None:
    """Note that this fetch found the document unchanged: an older fetch must not go live after it."""
    connection.execute(
        query("touch_document"),
        {
            "document_id": item.document_id,
            "item_id": item.item_id,
            "checked_at": checked_at,
            "fetch_seq": item.fetch_seq,
        },
    )


def hold_hosts(connection: Connection[TupleRow], pauses: Sequence[HostPause]) -> None:
    """Fetch nothing from the hosts of these items for a while: they asked for it."""
    if not pauses:
        return
    connection.execute(
        query("hold_hosts"),
        {
            "item_ids": [pause.item_id for pause in pauses],
            "seconds": [pause.seconds for pause in pauses],
            "reasons": [pause.reason for pause in pauses],
        },
    )


def versions_to_chunk(connection: Connection[TupleRow], *, batch_id: UUID, chunking_fp: str) -> list[VersionToChunk]:
    """Return the batch's versions that lack the chunk set, the largest first."""
    with connection.cursor(row_factory=class_row(VersionToChunk)) as cursor:
        return cursor.execute(query("versions_to_chunk"), {"batch_id": batch_id, "chunking_fp": chunking_fp}).fetchall()


def bodies(
    connection: Connection[TupleRow], *, version_ids: Sequence[UUID], from_raw: bool = False
) -> dict[UUID, VersionBody]:
    """Return the bytes or the text layers of some versions, by version; with `from_raw` the bytes of all."""
    with connection.cursor(row_factory=class_row(VersionBody), binary=True) as cursor:
        rows = cursor.execute(
            query("version_bodies"), {"version_ids": list(version_ids), "from_raw": from_raw}
        ).fetchall()
    return {row.document_version_id: row for row in rows}


def _page_row(item: FetchItem, page: FetchedPage) -> dict[str, object]:
    body = page.body or b""
    return {
        "item_id": item.item_id,
        "fetch_seq": item.fetch_seq,
        "sha256": sha256(body),
        "body": body,
        "bytes": len(body),
        "final_url": page.final_url,
        "http_status": page.status,
        "content_type": page.content_type,
        "charset": page.charset,
        "etag": page.etag,
        "last_modified": page.last_modified,
        "fetched_at": page.fetched_at,
        "robots": Jsonb(robots_record(page.robots)),
    }
