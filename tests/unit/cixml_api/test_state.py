"""What /metrics tells of parts that answer, are slow, or are gone."""

from __future__ import annotations

import asyncio
import time

import pytest

from cixml_api.state import OLDEST_SECONDS, Part, StateReader
from resources.errors import CacheUnavailableError
from resources.telemetry.state_gauges import Numbers


class Source:
    """Answers with `number`, raises `error`, or waits until `open`."""

    def __init__(self) -> None:
        self.number = 1.0
        self.error: Exception | None = None
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self) -> Numbers:
        self.asked += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {"cixml_redis_memory_bytes": {"": self.number}}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_part_that_answers_is_up_and_told_with_its_age() -> None:
    source, clock = Source(), Clock()
    found = await StateReader([Part("redis", source.ask, clock=clock)]).read()
    assert found["cixml_up"] == {"redis": 1.0}
    assert found["cixml_redis_memory_bytes"] == {"": 1.0}
    assert found["cixml_state_age_seconds"] == {"redis": 0.0}


async def test_scrapes_that_follow_closely_ask_once() -> None:
    source, clock = Source(), Clock()
    reader = StateReader([Part("redis", source.ask, clock=clock)])
    for _ in range(3):
        await reader.read()
    assert source.asked == 1
    clock.now += 3
    await reader.read()
    assert source.asked == 2


async def test_a_part_that_fails_is_down_at_once_and_has_no_numbers() -> None:
    source, clock = Source(), Clock()
    reader = StateReader([Part("redis", source.ask, clock=clock)])
    await reader.read()
    source.error = CacheUnavailableError("gone")
    clock.now += 3
    found = await reader.read()
    assert found["cixml_up"] == {"redis": 0.0}
    assert "cixml_redis_memory_bytes" not in found
    source.error = None
    assert (await reader.read())["cixml_up"] == {"redis": 1.0}


async def test_a_part_that_hangs_holds_nothing_up_and_is_told_as_it_was_for_a_while() -> None:
    source, other, clock = Source(), Source(), Clock()
    reader = StateReader([Part("redis", source.ask, clock=clock), Part("postgres", other.ask, clock=clock)])
    await reader.read()
    source.open.clear()
    clock.now += 3
    started = time.monotonic()
    found = await reader.read()
    assert time.monotonic() - started < 0.5
    assert found["cixml_up"] == {"redis": 1.0, "postgres": 1.0}
    assert found["cixml_state_age_seconds"] == {"redis": 3.0, "postgres": 0.0}
    clock.now += OLDEST_SECONDS
    assert (await reader.read())["cixml_up"] == {"redis": 0.0, "postgres": 1.0}
    assert source.asked == 2
    source.open.set()
    assert (await reader.read())["cixml_up"] == {"redis": 1.0, "postgres": 1.0}


async def test_an_error_of_ours_is_not_hidden() -> None:
    source = Source()
    source.error = KeyError("a bug")
    with pytest.raises(KeyError):
        await StateReader([Part("redis", source.ask)]).read()
