"""Cancels a caller's job. What waits ends at once; what a run works on ends with that run's next heartbeat."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from resources.postgres.queries import query
from resources.types import JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledJob:
    """The job's status before the request and after it."""

    before: JobStatus
    status: JobStatus


async def cancel_job(connection: AsyncConnection[TupleRow], *, caller_id: str, job_id: UUID) -> CancelledJob | None:
    """Cancel in the caller's transaction; None when the caller has no such job. Idempotent.

    `cancelling` until the last item under a lease has ended, then `cancelled`; a job that had ended keeps its status.
    Items that were whole stay indexed. The job is locked first: an item on its way between queue and lease is met in
    the one or in the other, since whoever gives an item back takes the same lock.
    """
    parameters = {"job_id": job_id, "caller_id": caller_id}
    locked = await connection.execute(query("lock_job"), parameters)
    await connection.execute(query("cancel_job"), parameters)
    row = await (await connection.execute(query("job_status"), parameters)).fetchone()
    before = await locked.fetchone()
    if row is None or before is None:
        return None
    return CancelledJob(before=JobStatus(before[0]), status=JobStatus(row[0]))
