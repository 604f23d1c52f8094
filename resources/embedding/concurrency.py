"""How many bulk requests may be under way at once: adapts as TCP does (additive increase, multiplicative decrease)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class AdaptiveLimit:
    """Starts at `most`; halves when the server is overloaded; grows by one per round of answers. Never below one."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._limit = float(most)
        self._busy = 0
        self._freed = asyncio.Condition()

    @property
    def limit(self) -> int:
        return int(self._limit)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._busy < self.limit)
            self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            async with self._freed:
                self._freed.notify_all()

    def grow(self) -> None:
        """Note an answer."""
        self._limit = min(self._most, self._limit + 1 / self._limit)

    def shrink(self) -> None:
        """Note a time-out or a request to slow down."""
        self._limit = max(1.0, self._limit / 2)
