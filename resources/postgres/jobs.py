"""A caller's jobs and their items: read, listed. They are written by submissions and by the pipeline, not here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from resources.postgres.corpora import COUNT_CAP
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """A job with its items counted by state and what they used."""

    id: UUID
    caller_id: str
    parent_job_id: UUID | None = None
    corpus: str
    status: str
    version: int
    failed_stage: str | None
    error: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
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
    pages: int = 0
    bytes: int = 0
    chunks: int = 0
    embedding_tokens: int = 0
    cached_tokens: int = 0
    traceparent: str | None = None
    crawl: dict[str, Any] | None = None
    pages_found: int = 0
    pages_left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a list holds; None does not filter."""

    statuses: list[str] | None = None
    corpus: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilter:
    """Which items a list holds; None does not filter."""

    statuses: list[str] | None = None
    failed_stages: list[str] | None = None
    codes: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobItem:
    """One URL of a job, or what was pushed, and how far it is."""

    id: UUID
    ordinal: int
    url: str | None
    final_url: str | None
    external_id: str | None
    metadata: dict[str, Any]
    status: str
    failed_stage: str | None
    attempts: int
    next_attempt_at: datetime | None
    waiting_reason: str | None
    http_status: int | None
    etag: str | None
    bytes: int
    fetched_at: datetime | None
    robots: dict[str, Any] | None
    change: str | None
    chunks_total: int
    chunks_added: int
    chunks_kept: int
    chunks_removed: int
    document_id: UUID | None
    error: dict[str, Any] | None
    duplicate_of: UUID | None
    retried_as: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    ended_version: int | None
    kind: str
    depth: int | None
    parent_item_id: UUID | None


async def get_job(connection: AsyncConnection[TupleRow], *, caller_id: str, job_id: UUID) -> JobSummary | None:
    """Return one job of the caller."""
    found = await fetch_as(connection, caller_id, query("get_job"), {"job_id": job_id}, rows=class_row(JobSummary))
    return found[0] if found else None


async def read_job(connection: AsyncConnection[TupleRow], *, job_id: UUID) -> JobSummary | None:
    """Return a job within the caller's transaction, as it stands there."""
    cursor = connection.cursor(row_factory=class_row(JobSummary))
    await cursor.execute(query("get_job"), {"job_id": job_id})
    return await cursor.fetchone()


async def list_jobs(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    where: JobFilter,
    newest_first: bool,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[JobSummary]:
    """Return the caller's jobs that come after the place `after` in the order asked for."""
    after_time, after_id = after or (None, None)
    statement = query("list_jobs_newest_first" if newest_first else "list_jobs_oldest_first")
    parameters = asdict(where) | {"after_time": after_time, "after_id": after_id, "limit": limit}
    return await fetch_as(connection, caller_id, statement, parameters, rows=class_row(JobSummary))


async def count_jobs(connection: AsyncConnection[TupleRow], *, caller_id: str, where: JobFilter) -> int:
    """Count the caller's jobs that pass the filter, up to COUNT_CAP."""
    parameters = asdict(where) | {"cap": COUNT_CAP}
    found = await fetch_as(connection, caller_id, query("count_jobs"), parameters, rows=scalar_row)
    return int(found[0])


async def list_job_items(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    job_id: UUID,
    where: ItemFilter,
    after_ordinal: int,
    limit: int,
) -> list[JobItem]:
    """Return items of a job in the order they were given."""
    parameters = asdict(where) | {"job_id": job_id, "after_ordinal": after_ordinal, "limit": limit}
    return await fetch_as(connection, caller_id, query("list_job_items"), parameters, rows=class_row(JobItem))


async def count_job_items(
    connection: AsyncConnection[TupleRow], *, caller_id: str, job_id: UUID, where: ItemFilter
) -> int | None:
    """Count a job's items; None when the caller has no such job."""
    parameters = asdict(where) | {"job_id": job_id}
    found = await fetch_as(connection, caller_id, query("count_job_items"), parameters, rows=scalar_row)
    return found[0] if found else None
