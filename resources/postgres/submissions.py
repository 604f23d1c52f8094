"""Submits jobs: their items, what was pushed with them, and their places in the queue, in the caller's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.identifiers import new_uuid
from resources.postgres.corpora import CorpusKey
from resources.postgres.queries import query

_KINDS = ("page", "sitemap")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedContent:
    """Bytes that a caller gave instead of a URL to fetch them from. A `title` stands before the one in the text."""

    body: bytes
    content_type: str
    charset: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """One URL of a submission, or `pushed` content under an `external_id`. `url_key` is its identity in the corpus."""

    url: str | None
    url_key: str
    host: str
    external_id: str | None = None
    metadata: dict[str, Any] | None = None
    pushed: PushedContent | None = None
    kind: Literal["page", "sitemap"] = "page"


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertedJob:
    id: UUID
    created_at: datetime


def pushed_item(external_id: str, metadata: dict[str, Any], content: PushedContent) -> NewItem:
    """Return the item of a push. No URL has its key: the scheme of one is http or https."""
    return NewItem(
        url=None,
        url_key=f"external-id:{external_id}",
        host="",
        external_id=external_id,
        metadata=metadata,
        pushed=content,
    )


async def submit_job(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    corpus: CorpusKey,
    items: Sequence[NewItem],
    traceparent: str | None,
    crawl: dict[str, Any] | None = None,
) -> InsertedJob | None:
    """Insert a job, its items and their places in the queue, and wake the sensor. None: no such corpus to write in.

    With `crawl` (its rules) the pages and sitemaps among the items are what the crawl begins with.
    """
    if any(item.pushed for item in items):
        await connection.execute(query("share_named_corpus"), {"owner": corpus.owner, "name": corpus.name})
    job_id = new_uuid()
    keys = {kind: {item.url_key for item in items if item.kind == kind and not item.pushed} for kind in _KINDS}
    job = connection.cursor(row_factory=class_row(InsertedJob))
    await job.execute(
        query("insert_job"),
        {
            "job_id": job_id,
            "caller_id": caller_id,
            "owner": corpus.owner,
            "name": corpus.name,
            "items_total": len(items),
            "items_open": len({item.url_key for item in items}),
            "traceparent": traceparent,
            "crawl": Jsonb(crawl) if crawl else None,
            "pages": len(keys["page"]) if crawl else 0,
            "sitemaps": len(keys["sitemap"]) if crawl else 0,
        },
    )
    versions = await _store_pushed(connection, job_id, items)
    await connection.execute(
        query("insert_job_items"),
        {
            "job_id": job_id,
            "urls": [item.url for item in items],
            "url_keys": [item.url_key for item in items],
            "hosts": [item.host for item in items],
            "external_ids": [item.external_id for item in items],
            "metadata": [Jsonb(item.metadata or {}) for item in items],
            "version_ids": [versions.get(item.url_key) for item in items],
            "kinds": [item.kind for item in items],
        },
    )
    await connection.execute(query("notify_jobs"))
    return await job.fetchone()


async def _store_pushed(
    connection: AsyncConnection[TupleRow], job_id: UUID, items: Sequence[NewItem]
) -> dict[str, UUID]:
    """Store the contents that were pushed, and return their versions by key.

    Bytes in the order of their hashes, then documents in the order of their keys: as everybody who stores several.
    """
    pushed = [(item, item.pushed, hashlib.sha256(item.pushed.body).digest()) for item in items if item.pushed]
    if not pushed:
        return {}
    versions = {item.url_key: new_uuid() for item, _, _ in pushed}
    bodies = {sha256: content.body for _, content, sha256 in pushed}
    async with connection.cursor() as cursor:
        await cursor.executemany(
            query("store_body"), [{"sha256": sha256, "body": bodies[sha256]} for sha256 in sorted(bodies)]
        )
    documents = {
        "job_id": job_id,
        "url_keys": [item.url_key for item, _, _ in pushed],
        "external_ids": [item.external_id for item, _, _ in pushed],
        "metadata": [Jsonb(item.metadata or {}) for item, _, _ in pushed],
    }
    await connection.execute(query("ensure_pushed_documents"), documents)
    await connection.execute(
        query("insert_pushed_versions"),
        {
            "job_id": job_id,
            "version_ids": [versions[item.url_key] for item, _, _ in pushed],
            "url_keys": [item.url_key for item, _, _ in pushed],
            "sha256s": [sha256 for _, _, sha256 in pushed],
            "bytes": [len(content.body) for _, content, _ in pushed],
            "content_types": [content.content_type for _, content, _ in pushed],
            "charsets": [content.charset for _, content, _ in pushed],
            "titles": [content.title for _, content, _ in pushed],
        },
    )
    return versions
