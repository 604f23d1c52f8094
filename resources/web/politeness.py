"""How hard one host is used: so many requests at once, and a pause between them when robots.txt asks for it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MAX_IDLE_HOSTS = 4096

Host = tuple[str, int]


@dataclass(slots=True)
class _Gate:
    slots: asyncio.Semaphore
    users: int = 0
    next_start: float = field(default=0.0)


class HostGates:
    """One gate per host and port of this process. Waiting here costs an item neither an attempt nor its deadline."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._gates: OrderedDict[Host, _Gate] = OrderedDict()

    @asynccontextmanager
    async def turn(self, host: Host, *, delay_seconds: float) -> AsyncIterator[None]:
        """Hold one of the host's slots, started no sooner than `delay_seconds` after the turn before."""
        gate = self._gates.setdefault(host, _Gate(asyncio.Semaphore(self._concurrency)))
        self._gates.move_to_end(host)
        gate.users += 1
        try:
            async with gate.slots:
                await _pause(gate, delay_seconds)
                yield
        finally:
            gate.users -= 1
            self._forget_idle()

    def _forget_idle(self) -> None:
        while len(self._gates) > MAX_IDLE_HOSTS:
            host, gate = next(iter(self._gates.items()))
            if gate.users or gate.next_start > time.monotonic():
                return
            del self._gates[host]


async def _pause(gate: _Gate, delay_seconds: float) -> None:
    if not delay_seconds:
        return
    now = time.monotonic()
    start = max(now, gate.next_start)
    gate.next_start = start + delay_seconds
    await asyncio.sleep(start - now)
