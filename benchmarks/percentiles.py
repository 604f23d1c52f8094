"""How a list of times is summed up."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def percentile(seconds: Sequence[float], share: int) -> float:
    """Return the value that `share` percent of the times do not exceed: one of them, nothing interpolated."""
    ordered = sorted(seconds)
    return ordered[max(0, -(-share * len(ordered) // 100) - 1)]


def spread(seconds: Sequence[float], share: int = 95) -> dict[str, float]:
    """Return p50, one higher percentile, least and most, in ms."""
    values = {
        "p50": median(seconds),
        f"p{share}": percentile(seconds, share),
        "min": min(seconds),
        "max": max(seconds),
    }
    return {name: round(1000 * value, 1) for name, value in values.items()}
