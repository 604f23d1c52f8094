"""The hits of several corpora as one list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from cixml_api.fusion import fuse
from cixml_api.searching import Mode, Outcome, ScoredHit


def is_comparable(outcomes: Collection[Outcome]) -> bool:
    """Return whether one model serves all: only then do their cosines mean the same."""
    return len({outcome.index.fingerprint for outcome in outcomes}) == 1


def merge(outcomes: Mapping[str, Outcome], *, mode: Mode, top_k: int) -> list[tuple[str, ScoredHit]]:
    """Return the best hits with their corpora: by cosine where that can be compared, else by their ranks.

    BM25 scores of two corpora can't be compared: each weighs a word by how rare it is there.
    """
    found = [(name, scored) for name, outcome in outcomes.items() for scored in outcome.hits]
    if len(outcomes) == 1:
        return found[:top_k]
    if mode == "dense" and is_comparable(outcomes.values()):
        return sorted(found, key=lambda entry: -entry[1].score)[:top_k]
    by_key = {(name, scored.hit.chunk_id): scored for name, scored in found}
    rankings = [[(name, scored.hit.chunk_id) for scored in outcome.hits] for name, outcome in outcomes.items()]
    return [(key[0], replace(by_key[key], fused=score)) for key, score in fuse(rankings)[:top_k]]
