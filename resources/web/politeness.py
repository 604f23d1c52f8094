"""How hard one host is used, by all processes together: so many requests at once, pauses between them, none while held.

A process borrows slots of a host in Redis and serves page after page with them for a slice of time, so that a page
costs no question where nobody else waits for the host. While Redis is gone each process takes its part of the slots.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import count
from typing import Protocol
from uuid import uuid4

from resources.errors import CacheUnavailableError, HostPausedError
from resources.telemetry import metrics

SLICE_SECONDS = 0.25  # so long a slot serves one process while others wait
LOAN_SECONDS = 10.0  # shorter than a lease of a batch: who takes over a dead worker's pages finds the slots free
KEEP_SECONDS = 3.0
LOOK_SECONDS = 0.05  # between two looks for a free slot
MAX_LOOK_SECONDS = 0.5  # a process that looks less often is taken for dead
SHORT_PAUSE_SECONDS = 2.0  # a host that is held for longer is not waited for: other hosts' pages come first
REDIS_PAUSE_SECONDS = 2.0
MAX_IDLE_HOSTS = 4096

Host = tuple[str, int]
_log = logging.getLogger("cixml.fetch")
_SCRIPT = files("resources.web").joinpath("host_slots.lua").read_text(encoding="utf-8")


class ScriptRunner(Protocol):
    """What the gates need of Redis. Raises CacheUnavailableError; `resources.cache.redis.Scripts` is one."""

    async def run(self, script: str, *, keys: Sequence[str], arguments: Sequence[str | int]) -> list[bytes | int]: ...


@dataclass(slots=True)
class _Loan:
    token: str
    slice_ends: float
    kept_at: float
    is_shared: bool


@dataclass(frozen=True, slots=True)
class _Refusal:
    wait_seconds: float
    is_held: bool


@dataclass(slots=True)
class _Gate:
    """What this process does at one host. `line` lets one task at a time look for a slot, in the order they came."""

    keys: tuple[str, ...]
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    loans: dict[str, _Loan] = field(default_factory=dict)
    idle: list[_Loan] = field(default_factory=list)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    waiting: int = 0
    next_look: float = 0.0
    next_start: float = 0.0
    held_until: float = 0.0


class HostGates:
    """One gate per host and port. Waiting here costs an item neither an attempt nor its deadline.

    `processes` is how many share a host when there is no Redis to ask.
    """

    def __init__(self, concurrency: int, *, scripts: ScriptRunner | None = None, processes: int = 1) -> None:
        self._concurrency = concurrency
        self._scripts = scripts
        self._processes = processes
        self._name = uuid4().hex[:12]
        self._tokens = count()
        self._gates: OrderedDict[Host, _Gate] = OrderedDict()
        self._keeper: asyncio.Task[None] | None = None
        self._redis_again_at = 0.0

    async def aclose(self) -> None:
        """Stop keeping loans."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    @asynccontextmanager
    async def turn(self, host: Host, *, delay_seconds: float) -> AsyncIterator[None]:
        """Hold one of the host's slots, started no sooner than `delay_seconds` after the turn before, of any process.

        Raises HostPausedError when the host asked for a pause that is not worth waiting for.
        """
        gate = self._gate(host)
        gate.users += 1
        try:
            loan = await self._take(gate, delay_seconds)
            try:
                yield
            finally:
                await self._give(gate, loan, is_reusable=not delay_seconds)
        finally:
            gate.users -= 1
            self._forget_idle()

    async def hold(self, host: Host, seconds: float) -> None:
        """Let nobody ask the host for so long."""
        gate = self._gate(host)
        gate.held_until = max(gate.held_until, time.monotonic() + seconds)
        await self._ask(gate, "hold", round(seconds * 1000))

    def _gate(self, host: Host) -> _Gate:
        gate = self._gates.get(host)
        if gate is None:
            digest = hashlib.sha256(f"{host[0]}\0{host[1]}".encode()).hexdigest()[:24]
            # The braces keep the keys on one node of a Redis cluster.
            keys = tuple(f"cixml:host:{{{digest}}}:{part}" for part in ("slots", "queue", "seen", "pace"))
            gate = self._gates[host] = _Gate(keys)
        self._gates.move_to_end(host)
        return gate

    def _forget_idle(self) -> None:
        while len(self._gates) > MAX_IDLE_HOSTS:
            host, gate = next(iter(self._gates.items()))
            if gate.users or max(gate.next_start, gate.held_until) > time.monotonic():
                return
            del self._gates[host]

    async def _take(self, gate: _Gate, delay_seconds: float) -> _Loan:
        gate.waiting += 1
        try:
            async with gate.line:
                return await self._next(gate, delay_seconds)
        finally:
            gate.waiting -= 1
            if not gate.waiting and gate.idle:
                await self._return(gate, gate.idle)

    async def _next(self, gate: _Gate, delay_seconds: float) -> _Loan:
        while True:
            gate.freed.clear()
            now = time.monotonic()
            if gate.idle and not delay_seconds and gate.held_until <= now:
                return gate.idle.pop()
            if gate.next_look <= now:
                answer = await self._borrow(gate, delay_seconds)
                if isinstance(answer, _Loan):
                    return answer
                if answer.is_held and answer.wait_seconds > SHORT_PAUSE_SECONDS:
                    raise HostPausedError(answer.wait_seconds)
                are_all_ours = len(gate.loans) >= self._concurrency
                wait_seconds = max(answer.wait_seconds, MAX_LOOK_SECONDS if are_all_ours else LOOK_SECONDS)
                gate.next_look = time.monotonic() + min(wait_seconds, MAX_LOOK_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, gate.next_look - time.monotonic())):
                    await gate.freed.wait()

    async def _give(self, gate: _Gate, loan: _Loan, *, is_reusable: bool) -> None:
        """Hand the slot to the next page of this process while its slice lasts, else give it back."""
        now = time.monotonic()
        if is_reusable and gate.waiting and loan.slice_ends > now >= gate.held_until:
            gate.idle.append(loan)
            gate.freed.set()
        else:
            await self._return(gate, [loan])

    async def _return(self, gate: _Gate, loans: list[_Loan]) -> None:
        returned = list(loans)
        loans.clear()
        for loan in returned:
            del gate.loans[loan.token]
        try:
            for loan in returned:
                if loan.is_shared:
                    await self._ask(gate, "give", loan.token)
        finally:
            gate.next_look = 0.0
            gate.freed.set()

    async def _borrow(self, gate: _Gate, delay_seconds: float) -> _Loan | _Refusal:
        token = f"{self._name}:{next(self._tokens)}"
        answer = await self._ask(
            gate, "take", token, self._name, self._concurrency, round(delay_seconds * 1000), round(LOAN_SECONDS * 1000)
        )
        now = time.monotonic()
        if answer is None:
            refusal = self._refusal_here(gate, now, delay_seconds)
            if refusal is not None:
                return refusal
        elif not answer[0]:
            return _Refusal(int(answer[1]) / 1000, is_held=bool(answer[2]))
        loan = _Loan(token, slice_ends=now + SLICE_SECONDS, kept_at=now, is_shared=answer is not None)
        gate.loans[token] = loan
        if loan.is_shared and (self._keeper is None or self._keeper.done()):
            self._keeper = asyncio.create_task(self._keep())
        return loan

    def _refusal_here(self, gate: _Gate, now: float, delay_seconds: float) -> _Refusal | None:
        """Decide without Redis: this process's part of the slots, and of the starts."""
        if gate.held_until > now:
            return _Refusal(gate.held_until - now, is_held=True)
        if len(gate.loans) >= max(1, self._concurrency // self._processes):
            return _Refusal(MAX_LOOK_SECONDS, is_held=False)  # woken when one is given back
        if gate.next_start > now:
            return _Refusal(gate.next_start - now, is_held=False)
        gate.next_start = now + delay_seconds * self._processes
        return None

    async def _keep(self) -> None:
        """Prolong the loans of slow pages, as long as there are loans."""
        while any(gate.loans for gate in self._gates.values()):
            await asyncio.sleep(KEEP_SECONDS)
            now = time.monotonic()
            for gate in list(self._gates.values()):
                old = [
                    loan for loan in gate.loans.values() if loan.is_shared and now - loan.kept_at >= KEEP_SECONDS / 2
                ]
                if old and await self._ask(gate, "keep", round(LOAN_SECONDS * 1000), *(loan.token for loan in old)):
                    for loan in old:
                        loan.kept_at = now

    async def _ask(self, gate: _Gate, *arguments: str | int) -> list[bytes | int] | None:
        """Return the script's answer, None while Redis does not give one."""
        if self._scripts is None:
            return None
        if time.monotonic() >= self._redis_again_at:
            try:
                return await self._scripts.run(_SCRIPT, keys=gate.keys, arguments=arguments)
            except CacheUnavailableError as error:
                self._redis_again_at = time.monotonic() + REDIS_PAUSE_SECONDS
                _log.warning("Redis does not answer (%s): this process takes its part of each host", error)
        metrics.redis_fallback.labels("hosts").inc()
        return None
