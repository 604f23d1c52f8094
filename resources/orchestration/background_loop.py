"""An asyncio loop on a daemon thread: Dagster's steps are synchronous, the clients they use are not.

One loop per process, kept between runs, so that keep-alive connections outlive a run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from threading import Thread
from typing import Any, TypeVar

from resources.orchestration import progress

LOOK_SECONDS = 0.25
T = TypeVar("T")
R = TypeVar("R")


class BackgroundLoop:
    """Runs coroutines for synchronous code."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, name="cixml-loop", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run to the end and return the result, or raise what it raised."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def map(
        self,
        source: Iterable[T],
        work: Callable[[T], Coroutine[Any, Any, R]],
        *,
        width: int,
        wanted: Callable[[T], bool] = lambda _: True,
    ) -> Iterator[R]:
        """Yield `work(item)` for each item as it ends, `width` at once.

        `source` is read on the caller's thread, when there is room for the next item. What `work` raises is raised
        here; a consumer that stops early cancels what is under way. An item that is not `wanted` is not started, and
        cancelled within LOOK_SECONDS once it is no longer wanted: nothing is yielded for it.
        """
        pending: dict[Future[R], T] = {}
        try:
            for item in source:
                if not wanted(item):
                    continue
                pending[asyncio.run_coroutine_threadsafe(work(item), self._loop)] = item
                while len(pending) >= width:
                    yield from _ended(pending, wanted)
            while pending:
                yield from _ended(pending, wanted)
        finally:
            for future in pending:
                future.cancel()


def _ended(pending: dict[Future[R], T], wanted: Callable[[T], bool]) -> Iterator[R]:
    """Wait a moment; yield the results that came, and forget what is no longer wanted."""
    done, _ = wait(pending, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
    for future in done:
        del pending[future]
        progress.mark()
        yield future.result()
    for future in [future for future, item in pending.items() if not wanted(item)]:
        del pending[future]
        future.cancel()
