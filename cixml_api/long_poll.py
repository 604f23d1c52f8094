"""Waiting for a job to change: `Prefer: wait=` (RFC 7240) beside `If-None-Match`."""

from __future__ import annotations

import asyncio
import re
import time
from uuid import UUID

from fastapi import Request

from resources.errors import NotFoundError
from resources.postgres.job_progress import job_version
from resources.postgres.pool import Pool, connected

MOST_WAIT_SECONDS = 30
LOOK_SECONDS = 0.5
"""A look is one row by its key: a hundred who wait cost the database a few hundredths of a core."""
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,9})(?:$|[,;\s])", re.IGNORECASE)


def tag_of(version: int) -> str:
    return f'W/"{version}"'


def wait_seconds(prefer: str | None) -> int | None:
    """Return how long a Prefer header asks to wait, as far as it is granted. What it asks else is left to others."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), MOST_WAIT_SECONDS) if found else None


async def wait_for_change(
    request: Request, pool: Pool, caller_id: str, job_id: UUID, known: str, seconds: float
) -> str | None:
    """Return the job's tag when it is among the `known` ones after `seconds`; None as soon as it is not.

    A job that has ended changes no more: it is not waited for. Raises NotFoundError.
    """
    deadline = time.monotonic() + seconds
    while True:
        async with connected(pool) as connection:
            found = await job_version(connection, caller_id=caller_id, job_id=job_id)
        if found is None:
            raise NotFoundError
        tag = tag_of(found.version)
        if tag not in known:
            return None
        left = deadline - time.monotonic()
        if found.is_over or left <= 0 or await request.is_disconnected():
            return tag
        await asyncio.sleep(min(LOOK_SECONDS, left))
