"""The audit record, written beside the requests: they leave a record in memory, one task inserts what has come in.

A record is in the database after about a second, at shutdown at once. A process that is killed loses those of its last
second; while the database is gone records wait, and beyond MOST_WAITING the oldest are dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cixml_api.access import Access
from cixml_api.every_second import EverySecond
from resources.errors import DatabaseUnavailableError
from resources.identifiers import new_uuid
from resources.postgres.audit import AuditRecord, insert_audit
from resources.postgres.pool import Pool, connected
from resources.telemetry import metrics

MOST_AT_ONCE = 1000
MOST_WAITING = 20_000

_log = logging.getLogger("cixml.audit")


class AuditLog:
    """Records on their way to the database, in the order they came."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: deque[AuditRecord] = deque()
        self._writing = asyncio.Lock()
        self._last_id = 0
        self._written_at = time.monotonic()
        self._writer = EverySecond("audit record", self.flush)

    def add(self, access: Access, state: Mapping[str, Any], *, status: int) -> None:
        """Leave the record of a request that ended. Costs no wait."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            metrics.audit_lost.inc()
        self._waiting.append(
            AuditRecord(
                id=self._next_id(),
                at=datetime.now(UTC),
                caller_id=access.caller_id,
                peer=access.peer,
                method=access.method,
                route=access.route,
                ids=access.ids,
                status=status,
                request_id=state["request_id"],
                trace_id=state["trace_id"],
            )
        )

    def _next_id(self) -> UUID:
        """Return an id after the one before, also within a millisecond: the order of the list is that of the ids."""
        self._last_id = max(new_uuid().int, self._last_id + 1)
        return UUID(int=self._last_id)

    @property
    def unwritten_seconds(self) -> float:
        """Return how long nothing was written though records wait or are being written; 0 when none is."""
        return time.monotonic() - self._written_at if self._waiting or self._writing.locked() else 0.0

    def start(self) -> None:
        """Begin to write, on the running loop."""
        self._writer.start()

    async def close(self) -> None:
        """Write what is left and end."""
        await self._writer.stop()
        try:
            await self.flush()
        except DatabaseUnavailableError as error:
            metrics.audit_lost.inc(len(self._waiting))
            _log.error("%d audit records are lost: %s", len(self._waiting), error)

    async def flush(self) -> None:
        """Write what has come in until now. Raises DatabaseUnavailableError; nothing is dropped then."""
        async with self._writing:
            while records := [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]:
                try:
                    async with connected(self._pool) as connection:
                        await insert_audit(connection, records)
                except BaseException:
                    self._waiting.extendleft(reversed(records))
                    raise
                self._written_at = time.monotonic()
            self._written_at = time.monotonic()
