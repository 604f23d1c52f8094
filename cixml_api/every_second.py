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
        self._is_over = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.create_task(self._flush_for_ever(), name=self._name)
        self._task.add_done_callback(self._tell)

    async def stop(self) -> None:
        """End, after the call under way. What came in since the last call is left to the caller.

        The task is asked, not cancelled: a cancellation may be lost in the pool (`asyncio.wait_for` of Python 3.11).
        """
        if self._task is not None:
            self._is_over.set()
            await asyncio.wait([self._task])

    async def _flush_for_ever(self) -> None:
        while not await self._is_to_stop():
            try:
                await self._flush()
            except DatabaseUnavailableError as error:
                _log.warning("the %s waits: %s", self._name, error)

    async def _is_to_stop(self) -> bool:
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                return await self._is_over.wait()
        except TimeoutError:
            return False

    def _tell(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            _log.critical("the %s is written no more: restart the API", self._name, exc_info=error)
