"""Streams of events that stand open: so many per caller in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from resources.errors import RateLimitedError
from resources.telemetry import metrics

STREAMS = "open-streams"
RETRY_AFTER_SECONDS = 5.0


class OpenStreams:
    """Counts the open streams of each caller. `limit` 0 is none."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self, caller_id: str) -> Iterator[None]:
        """Hold a place. Raises RateLimitedError when the caller has as many as it may have."""
        if self._limit and self._open[caller_id] >= self._limit:
            metrics.rate_limited.labels(STREAMS).inc()
            raise RateLimitedError(
                f"{self._limit} event streams may stand open at once: close one, or ask for the job instead",
                policies=[STREAMS],
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._open[caller_id] += 1
        try:
            yield
        finally:
            self._open[caller_id] -= 1
            if not self._open[caller_id]:
                del self._open[caller_id]
