"""Rows for tests, with defaults for all that a test does not speak of. Written by the owner's login."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg import Connection
from psycopg.types.json import Jsonb

from resources.types import FetchedPage, RobotsVerdict

CHUNKING = {"strategy": "recursive", "max_tokens": 256, "overlap_tokens": 32}
CHUNKING_FP = "test-chunking"


@dataclass(frozen=True, kw_only=True)
class MadeJob:
    """A job as it stands after its submission."""

    job_id: UUID
    corpus_id: UUID
    item_ids: list[UUID]


def make_corpus(connection: Connection[Any], *, caller: str = "c_a", name: str = "docs") -> UUID:
    """Make a corpus with a serving index of the first model, and its caller; an existing one is returned."""
    connection.execute(
        "INSERT INTO cixml.callers (caller_id, caller_type) VALUES (%s, 'service') ON CONFLICT DO NOTHING", [caller]
    )
    found = connection.execute(
        "SELECT id FROM cixml.corpora WHERE owner = %s AND name = %s AND deleted_at IS NULL", [caller, name]
    ).fetchone()
    if found:
        return found[0]
    corpus_id: UUID = connection.execute(
        "INSERT INTO cixml.corpora (owner, name, partition_key) VALUES (%s, %s, %s) RETURNING id",
        [caller, name, f"{name}-{uuid4().hex[:8]}"],
    ).fetchone()[0]
    connection.execute(
        "INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state) "
        "SELECT %s, id, %s, %s, relation, 'exact', 'serving' FROM cixml.models WHERE is_enabled ORDER BY id LIMIT 1",
        [corpus_id, Jsonb(CHUNKING), CHUNKING_FP],
    )
    return corpus_id


def make_job(connection: Connection[Any], *urls: str, caller: str = "c_a", corpus: str = "docs") -> MadeJob:
    """Submit a job as the API does: job, items and queue rows."""
    corpus_id = make_corpus(connection, caller=caller, name=corpus)
    job_id: UUID = connection.execute(
        "INSERT INTO cixml.jobs (caller_id, corpus_id, items_total, items_open) VALUES (%s, %s, %s, %s) RETURNING id",
        [caller, corpus_id, len(urls), len(urls)],
    ).fetchone()[0]
    item_ids = []
    for ordinal, url in enumerate(urls):
        item_id = connection.execute(
            "INSERT INTO cixml.job_items (job_id, caller_id, corpus_id, ordinal, url, url_key, host) "
            "VALUES (%s, %s, %s, %s, %s, %s, 'example.com') RETURNING id",
            [job_id, caller, corpus_id, ordinal, url, url],
        ).fetchone()[0]
        connection.execute(
            "INSERT INTO cixml.work_queue (item_id, caller_id, corpus_id, url_key, host) "
            "VALUES (%s, %s, %s, %s, 'example.com')",
            [item_id, caller, corpus_id, url],
        )
        item_ids.append(item_id)
    return MadeJob(job_id=job_id, corpus_id=corpus_id, item_ids=item_ids)


def make_worker(connection: Connection[Any], *, slots: int = 3) -> None:
    """Make a live worker that takes ingest runs."""
    connection.execute(
        "INSERT INTO cixml.workers (id, queues, slots) VALUES ('w', %s, %s) "
        "ON CONFLICT (id) DO UPDATE SET slots = excluded.slots, seen_at = now()",
        [["ingest", "backfill"], slots],
    )


def make_page(body: bytes | None = b"<p>Hello</p>", *, url: str = "https://example.com/") -> FetchedPage:
    """Make an answer to a GET; `body=None` is a 304."""
    now = datetime.now(UTC)
    return FetchedPage(
        url=url,
        final_url=url,
        status=200 if body is not None else 304,
        body=body,
        content_type="text/html",
        charset="utf-8",
        etag='"1"',
        last_modified=None,
        robots=RobotsVerdict(allowed=True, rule="no robots.txt", fetched_at=now),
        fetched_at=now,
    )
