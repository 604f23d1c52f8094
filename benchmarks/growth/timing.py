"""Milliseconds of something done many times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

Json = dict[str, Any]


def spread(milliseconds: Sequence[float]) -> Json:
    """Return p50, p95, p99 and the maximum: p95 is the value that 95 % do not exceed."""
    ordered = sorted(milliseconds)

    def at(percent: int) -> float:
        return round(ordered[max(0, -(-percent * len(ordered) // 100) - 1)], 2)

    return {"p50": round(median(ordered), 2), "p95": at(95), "p99": at(99), "max": round(ordered[-1], 2)}


def time_ms(action: Callable[[], object], *, times: int) -> Json:
    """Do it once to warm up, then `times`, one after another."""
    action()
    found: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        found.append((time.perf_counter() - begun) * 1000)
    return spread(found)
