"""The task that writes beside the requests."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from cixml_api import every_second
from cixml_api.every_second import EverySecond
from resources.errors import DatabaseUnavailableError


async def test_it_goes_on_after_an_outage_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(every_second, "FLUSH_SECONDS", 0.001)
    calls: list[int] = []
    enough = asyncio.Event()

    async def flush() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise DatabaseUnavailableError
        if len(calls) == 3:
            enough.set()

    writer = EverySecond("test", flush)
    writer.start()
    await asyncio.wait_for(enough.wait(), 10)
    await asyncio.wait_for(writer.stop(), 10)
    told = len(calls)
    await asyncio.sleep(0.01)
    assert len(calls) == told >= 3


async def test_a_flush_under_way_ends_before_the_stop_also_when_it_swallows_cancellations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a pool does that is given its connection in the moment of the cancellation."""
    monkeypatch.setattr(every_second, "FLUSH_SECONDS", 0.001)
    begun, ended = asyncio.Event(), 0

    async def flush() -> None:
        nonlocal ended
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)
        ended += 1

    writer = EverySecond("test", flush)
    writer.start()
    await asyncio.wait_for(begun.wait(), 10)
    await asyncio.wait_for(writer.stop(), 10)
    assert ended == 1
