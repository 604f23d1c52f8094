"""A job's events, told from rows: who comes back with the last id gets what follows it, from any process.

An item's event has the id `version.ordinal`, every other the job's version: all items up to it have been told. Versions
grow under the job's lock, and an item keeps the one with which it ended.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel

from cixml_api import schemas, views
from cixml_api.errors import VALUE, FieldProblem, InvalidFieldsError
from cixml_api.long_poll import LOOK_SECONDS
from resources.errors import CallerError, DependencyError, NotFoundError
from resources.postgres.job_progress import JobVersion, job_version, list_ended_items
from resources.postgres.jobs import JobSummary, get_job
from resources.postgres.pool import Pool, connected
from resources.types import JobStatus

COMMENT_SECONDS = 15.0
ITEMS_AT_ONCE = 200
AFTER_ALL_ITEMS = 2**31 - 1
_ID = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?", re.ASCII)
_log = logging.getLogger("cixml.api")
Place = tuple[int, int]
"""A version and an ordinal in it."""


def place_of(event_id: str | None) -> Place:
    """Return where a stream goes on. Raises InvalidFieldsError."""
    if not event_id:
        return 0, 0
    found = _ID.fullmatch(event_id)
    if found is None:
        detail = "it is no id of an event of a job: start again without it"
        raise InvalidFieldsError([FieldProblem(pointer="/last-event-id", number=VALUE, detail=detail)])
    return int(found[1]), AFTER_ALL_ITEMS if found[2] is None else int(found[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStream:
    """The events of one job of one caller."""

    pool: Pool
    caller_id: str
    job_id: UUID
    identify_again: Callable[[], Awaitable[object]]
    """Raises CixmlError when the key would not be let in now."""

    async def version(self) -> JobVersion:
        """Return the job's version. Raises NotFoundError."""
        async with connected(self.pool) as connection:
            found = await job_version(connection, caller_id=self.caller_id, job_id=self.job_id)
        if found is None:
            raise NotFoundError
        return found

    async def events(self, request: Request, place: Place) -> AsyncIterator[bytes]:
        """Yield what comes after a place, until the job has ended or the caller is gone.

        An outage ends the stream, and a key that is refused meanwhile: the caller comes back with its last id.
        """
        try:
            async for event in self._events(request, place):
                yield event
        except (CallerError, DependencyError) as error:
            _log.warning("a stream of job events ends early: %s", error.code)

    async def _events(self, request: Request, place: Place) -> AsyncIterator[bytes]:
        status: str | None = None
        told_at = identified_at = time.monotonic()
        while not await request.is_disconnected():
            if (await self.version()).version > place[0] or place[1] != AFTER_ALL_ITEMS:
                row = await self._row()
                async for event in self._items(place, row.version):
                    yield event
                is_over = JobStatus(row.status).is_terminal
                name = "end" if is_over else "progress" if row.status == status else "job"
                yield _event(name, str(row.version), views.job(row) if name != "progress" else _progress(row))
                place, status, told_at = (row.version, AFTER_ALL_ITEMS), row.status, time.monotonic()
                if is_over:
                    return
            if time.monotonic() - identified_at >= COMMENT_SECONDS:
                await self.identify_again()
                identified_at = time.monotonic()
            if time.monotonic() - told_at >= COMMENT_SECONDS:
                yield KEEPALIVE_COMMENT
                told_at = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)

    async def _row(self) -> JobSummary:
        async with connected(self.pool) as connection:
            row = await get_job(connection, caller_id=self.caller_id, job_id=self.job_id)
        if row is None:
            raise NotFoundError
        return row

    async def _items(self, place: Place, version: int) -> AsyncIterator[bytes]:
        while True:
            async with connected(self.pool) as connection:
                found = await list_ended_items(
                    connection,
                    caller_id=self.caller_id,
                    job_id=self.job_id,
                    version=version,
                    after=place,
                    limit=ITEMS_AT_ONCE,
                )
            for item in found:
                assert item.ended_version is not None
                place = item.ended_version, item.ordinal
                yield _event("item", f"{place[0]}.{place[1]}", views.item(item))
            if len(found) < ITEMS_AT_ONCE:
                return


def _progress(row: JobSummary) -> schemas.JobProgress:
    job = views.job(row)
    return schemas.JobProgress(version=job.version, status=job.status, items=job.items, progress=job.progress)


def _event(name: str, event_id: str, data: BaseModel) -> bytes:
    return format_sse_event(event=name, id=event_id, data_str=data.model_dump_json(by_alias=True))
