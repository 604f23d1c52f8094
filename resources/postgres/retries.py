"""Retries a caller's job: its failed or cancelled items become a job of their own, from where their bytes got to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from resources.identifiers import new_uuid
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriedJob:
    """The child job, or no `job_id` where nothing was to be retried; `retried` are items of the parent."""

    job_id: UUID | None
    retried: list[UUID]


async def retry_job(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    job_id: UUID,
    statuses: Sequence[str],
    stages: Sequence[str] | None,
    item_ids: Sequence[UUID] | None,
    traceparent: str | None,
) -> RetriedJob | None:
    """Insert the child job in the caller's transaction and wake the sensor. None: the caller has no such job."""
    cursor = connection.cursor(row_factory=class_row(RetriedJob))
    await cursor.execute(
        query("retry_job"),
        {
            "parent_id": job_id,
            "caller_id": caller_id,
            "job_id": new_uuid(),
            "statuses": list(statuses),
            "stages": None if stages is None else list(stages),
            "item_ids": None if item_ids is None else list(item_ids),
            "traceparent": traceparent,
        },
    )
    await connection.execute(query("notify_jobs"))
    return await cursor.fetchone()
