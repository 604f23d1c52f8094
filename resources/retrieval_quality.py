"""What rankings of documents are worth: against what people said is relevant, and against another ranking. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from uuid import UUID

TOP_K = 10


def ndcg(ranked: Sequence[UUID], relevant: Collection[UUID]) -> float:
    """Return nDCG@10: 1 when all that is relevant stands first, less the later it comes."""
    gain = sum(1 / math.log2(place + 2) for place, each in enumerate(ranked[:TOP_K]) if each in relevant)
    best = sum(1 / math.log2(place + 2) for place in range(min(len(relevant), TOP_K)))
    return gain / best if best else 0.0


def recall(ranked: Sequence[UUID], relevant: Collection[UUID]) -> float:
    """Return which share of what is relevant is among the first ten."""
    return len(set(ranked[:TOP_K]) & set(relevant)) / len(relevant) if relevant else 0.0


def overlap(ranked: Sequence[UUID], other: Sequence[UUID]) -> float:
    """Return which share of the other's first ten is among these."""
    return len(set(ranked[:TOP_K]) & set(other[:TOP_K])) / len(other[:TOP_K]) if other else 1.0


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value under which so many are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
