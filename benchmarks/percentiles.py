"""How a list of times is summed up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median


def percentile(seconds: Sequence[float], share: int) -> float:
    """Return the value that `share` percent of the times do not exceed: one of them, nothing interpolated."""
    ordered = sorted(seconds)
    return ordered[max(0, -(-share * len(ordered) // 100) - 1)]


def spread(seconds: Sequence[float], share: int = 95, *, digits: int = 1) -> dict[str, float]:
    """Return p50, one higher percentile, least and most, in ms."""
    values = {
        "p50": median(seconds),
        f"p{share}": percentile(seconds, share),
        "min": min(seconds),
        "max": max(seconds),
    }
    return {name: round(1000 * value, digits) for name, value in values.items()}


def time_ms(action: Callable[[], object], *, times: int) -> dict[str, float]:
    """Do it once to warm up, then `times`, one after another."""
    action()
    found: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        found.append(time.perf_counter() - begun)
    return spread(found)
