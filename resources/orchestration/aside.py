"""Work that a process does beside its own loop, on a thread: one piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Aside:
    """A thread that does what it is given, unless it is busy."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._under_way: Future[None] | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Begin the work, unless some is under way. Raises what the work before raised."""
        if self._under_way is not None and not self._under_way.done():
            return
        before, self._under_way = self._under_way, None
        if before is not None:
            before.result()
        self._under_way = self._thread.submit(work)

    def close(self) -> None:
        """Wait for the end of what is under way, and end the thread."""
        self._thread.shutdown(cancel_futures=True)
