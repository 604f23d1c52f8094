"""Writes that stand beside the requests: what has come in is written by one task, once a second and at the end.

A process that is killed loses what came in its last second; while the database is gone it waits in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from resources.errors import DatabaseUnavailableError

FLUSH_SECONDS = 1.0
_log = logging.getLogger("cixml.api")


class EverySecond:
    """Calls `flush` on the running loop between `start` and `stop`."""

    def __init__(self, name: str, flush: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._flush = flush
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._flush_for_ever(), name=self._name)
        self._task.add_done_callback(self._tell)

    async def stop(self) -> None:
        """End. What came in since the last call is left to the caller."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self._flush()
            except DatabaseUnavailableError as error:
                _log.warning("the %s waits: %s", self._name, error)

    def _tell(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            _log.critical("the %s is written no more: restart the API", self._name, exc_info=error)
