"""When this process last got on with its run. A heartbeat proves life alone: it beats on while another thread hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_at = time.monotonic()
_waits = 0


def mark() -> None:
    """Something came to its end: a transaction, a page, an answer."""
    global _at  # one run at a time in a process
    _at = time.monotonic()


@contextmanager
def waiting() -> Iterator[None]:
    """Mark a single step that may take as long as it takes, such as the build of an index."""
    global _waits
    _waits += 1
    try:
        yield
    finally:
        _waits -= 1
        mark()


def idle_seconds() -> float:
    """Return how long nothing came to its end; 0 while something may take its time."""
    return 0.0 if _waits else time.monotonic() - _at
