"""Reciprocal rank fusion: several ranked lists become one. Only places count, so scores need not be comparable."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

RANK_CONSTANT = 60
"""As in the paper of Cormack, Clarke and Büttcher (2009); the gold sets are flat between 20 and 100."""

Key = TypeVar("Key", bound=Hashable)


def score_of(rank: int) -> float:
    """Return what a place in one list is worth; the first is 1."""
    return 1 / (RANK_CONSTANT + rank)


def fuse(rankings: Sequence[Sequence[Key]]) -> list[tuple[Key, float]]:
    """Return every key with its fused score, best first; of equals the one that an earlier ranking has higher."""
    scores: dict[Key, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, start=1):
            scores[key] = scores.get(key, 0.0) + score_of(rank)
    return sorted(scores.items(), key=lambda entry: -entry[1])
