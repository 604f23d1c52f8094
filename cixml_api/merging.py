"""The hits of several corpora as one list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from cixml_api.fusion import score_of
from cixml_api.searching import Mode, Outcome, ScoredHit


def is_comparable(outcomes: Collection[Outcome]) -> bool:
    """Return whether one model serves all: only then do their cosines mean the same."""
    return len({outcome.index.fingerprint for outcome in outcomes}) == 1


def merge(
    outcomes: Mapping[str, Outcome], *, passed: Mapping[str, int], mode: Mode, top_k: int
) -> list[tuple[str, ScoredHit]]:
    """Return the best hits with their corpora: by cosine where that can be compared, else by their ranks.

    BM25 scores of two corpora can't be compared: each weighs a word by how rare it is there. `passed` says how many
    hits of each corpus were shown before: what follows them is what would have come next, in one list as in pages.
    """
    found = [(name, scored) for name, outcome in outcomes.items() for scored in outcome.hits]
    if len(outcomes) == 1:
        return found[:top_k]
    if mode != "dense" or not is_comparable(outcomes.values()):
        found = [
            (name, replace(scored, fused=score_of(rank)))
            for name, outcome in outcomes.items()
            for rank, scored in enumerate(outcome.hits, start=passed[name] + 1)
        ]
    return sorted(found, key=lambda entry: -entry[1].score)[:top_k]
