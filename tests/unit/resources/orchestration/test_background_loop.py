from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from resources.orchestration.background_loop import BackgroundLoop


@pytest.fixture(scope="module")
def loop() -> BackgroundLoop:
    return BackgroundLoop()


def test_map_yields_every_result_as_it_ends(loop: BackgroundLoop) -> None:
    async def work(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    assert list(loop.map([0.2, 0.0], work, width=2)) == [0.0, 0.2]


def test_map_reads_its_source_only_when_there_is_room(loop: BackgroundLoop) -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for number in range(10):
            read.append(number)
            yield number

    async def work(number: int) -> int:
        return number

    results = loop.map(source(), work, width=2)
    first = next(results)
    assert len(read) <= 3
    assert sorted([first, *results]) == list(range(10))


def test_map_raises_what_the_work_raises(loop: BackgroundLoop) -> None:
    async def work(_: int) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(loop.map([1], work, width=1))


def test_map_of_nothing_yields_nothing(loop: BackgroundLoop) -> None:
    async def work(number: int) -> int:
        return number

    assert list(loop.map([], work, width=4)) == []


def test_map_starts_nothing_that_is_not_wanted_and_drops_what_no_longer_is(loop: BackgroundLoop) -> None:
    started: list[int] = []
    dropped: set[int] = {3}
    was_cancelled = threading.Event()

    async def work(number: int) -> int:
        started.append(number)
        try:
            await asyncio.sleep(60 if number == 2 else 0.01)
        except asyncio.CancelledError:
            was_cancelled.set()
            raise
        return number

    results = []
    for number in loop.map([1, 2, 3, 4], work, width=2, wanted=lambda number: number not in dropped):
        results.append(number)
        if number == 4:
            dropped.add(2)
    assert results == [1, 4]
    assert started == [1, 2, 4]
    assert was_cancelled.wait(timeout=10)
