"""An asyncio loop on a daemon thread: Dagster's steps are synchronous, the clients they use are not.

One loop per process, kept between runs, so that keep-alive connections outlive a run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from threading import Thread
from typing import Any, TypeVar

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

    def map(self, source: Iterable[T], work: Callable[[T], Coroutine[Any, Any, R]], *, width: int) -> Iterator[R]:
        """Yield `work(item)` for each item as it ends, `width` at once.

        `source` is read on the caller's thread, when there is room for the next item. What `work` raises is raised
        here; a consumer that stops early cancels what is under way.
        """
        pending: set[Future[R]] = set()
        try:
            for item in source:
                pending.add(asyncio.run_coroutine_threadsafe(work(item), self._loop))
                if len(pending) >= width:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in pending:
                future.cancel()
