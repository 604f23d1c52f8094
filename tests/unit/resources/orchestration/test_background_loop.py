from __future__ import annotations

import asyncio
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
