"""How far a caller's job is: its version, what is ahead of it, and its items in the order in which they ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from resources.postgres.jobs import JobItem
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class JobVersion:
    """What a job is watched by: it grows when an item or the job changes its state for good."""

    version: int
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutlook:
    """What is told of a job beside its items. `waiting` and `runs` are records; None: not known, or it has ended."""

    ahead_of_you: int | None
    your_share: float | None
    eta_seconds: float | None
    waiting: list[dict[str, Any]]
    runs: list[dict[str, Any]]


async def job_version(connection: AsyncConnection[TupleRow], *, caller_id: str, job_id: UUID) -> JobVersion | None:
    """Return the version of a job of the caller. Cheap: it is asked again and again."""
    found = await fetch_as(connection, caller_id, query("job_version"), {"job_id": job_id}, rows=class_row(JobVersion))
    return found[0] if found else None


async def job_outlook(connection: AsyncConnection[TupleRow], *, caller_id: str, job_id: UUID) -> JobOutlook | None:
    """Return the outlook of a job of the caller."""
    found = await fetch_as(connection, caller_id, query("job_outlook"), {"job_id": job_id}, rows=class_row(JobOutlook))
    return found[0] if found else None


async def list_ended_items(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    job_id: UUID,
    version: int,
    after: tuple[int, int],
    limit: int,
) -> list[JobItem]:
    """Return items that ended up to `version`, in the order of it, after the place (version, ordinal)."""
    parameters = {
        "job_id": job_id,
        "version": version,
        "after_version": after[0],
        "after_ordinal": after[1],
        "limit": limit,
    }
    return await fetch_as(connection, caller_id, query("list_ended_items"), parameters, rows=class_row(JobItem))
