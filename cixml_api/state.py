"""The state that /metrics tells: each part is asked beside the others, and none holds the answer up.

What a part said is told for CACHE_SECONDS without asking again. A part that is slow is told as it was, with its age,
for OLDEST_SECONDS at most; one that fails is told as down, at once and without numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping

from cixml_api.audit import AuditLog
from cixml_api.dependencies import Breaker, Services
from resources.cache.redis import Memory
from resources.errors import CacheUnavailableError, DatabaseUnavailableError
from resources.postgres.pool import Pool, connected
from resources.postgres.state import StateNumber, dagster_state_numbers, state_numbers
from resources.telemetry import attributes as names
from resources.telemetry.state_gauges import BREAKER_VALUES, Numbers

CACHE_SECONDS = 2.0
DEADLINE_SECONDS = 0.09
OLDEST_SECONDS = 30.0
Ask = Callable[[], Awaitable[Numbers]]


class Part:
    """One thing that is asked for its numbers, by one question at a time."""

    def __init__(self, name: str, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._ask = ask
        self._clock = clock
        self._question: asyncio.Task[None] | None = None
        self._numbers: Numbers | None = None
        self._at = 0.0

    def question(self) -> asyncio.Task[None] | None:
        """Return the question under way; begin one unless the last answer serves."""
        if self._question is None and (self._numbers is None or self.age_seconds > CACHE_SECONDS):
            self._question = asyncio.create_task(self._refresh())
            self._question.add_done_callback(self._forget)
        return self._question

    @property
    def age_seconds(self) -> float:
        return self._clock() - self._at

    @property
    def numbers(self) -> Numbers | None:
        """Return what it said last; None when it failed since, or that is too long ago."""
        return self._numbers if self.age_seconds <= OLDEST_SECONDS else None

    async def _refresh(self) -> None:
        try:
            self._numbers = await self._ask()
        except (DatabaseUnavailableError, CacheUnavailableError):
            self._numbers = None
        self._at = self._clock()

    def _forget(self, _: asyncio.Task[None]) -> None:
        self._question = None


class StateReader:
    """All parts together."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts

    async def read(self) -> Numbers:
        """Return the gauges of the parts that answer, within DEADLINE_SECONDS."""
        questions = [question for part in self._parts if (question := part.question()) is not None]
        if questions:
            done, _ = await asyncio.wait(questions, timeout=DEADLINE_SECONDS)
            for question in done:
                question.result()
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for part in self._parts:
            numbers = part.numbers
            found[names.UP][part.name] = float(numbers is not None)
            if numbers is not None:
                found[names.STATE_AGE][part.name] = part.age_seconds
                for metric, values in numbers.items():
                    found[metric].update(values)
        return found


def state_of(services: Services) -> StateReader:
    """Return the reader of what this API knows of: Redis and Dagster are parts where they are set."""
    parts = [
        Part("postgres", lambda: _postgres(services.pool)),
        Part("breakers", lambda: _breakers(services.breakers)),
        Part("audit", lambda: _audit(services.audit)),
    ]
    if (redis_memory := services.redis_memory) is not None:
        parts.append(Part("redis", lambda: _redis(redis_memory)))
    if (dagster_pool := services.dagster_pool) is not None:
        parts.append(Part("dagster", lambda: _dagster(dagster_pool)))
    return StateReader(parts)


async def _postgres(pool: Pool) -> Numbers:
    async with connected(pool) as connection:
        return _by_metric(await state_numbers(connection))


async def _dagster(pool: Pool) -> Numbers:
    async with connected(pool) as connection:
        return _by_metric(await dagster_state_numbers(connection))


async def _redis(ask: Callable[[], Awaitable[Memory]]) -> Numbers:
    memory = await ask()
    return {names.REDIS_MEMORY: {"": memory.used_bytes}, names.REDIS_MEMORY_LIMIT: {"": memory.limit_bytes}}


async def _breakers(breakers: tuple[Breaker, ...]) -> Numbers:
    return {names.BREAKER_STATE: {each.model_id: BREAKER_VALUES[(await each.state()).state] for each in breakers}}


async def _audit(audit: AuditLog) -> Numbers:
    return {names.AUDIT_UNWRITTEN: {"": audit.unwritten_seconds}}


def _by_metric(rows: list[StateNumber]) -> Mapping[str, Mapping[str, float]]:
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        found[row.metric][row.label] = row.number
    return found
