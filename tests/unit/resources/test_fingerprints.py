from __future__ import annotations

from resources.fingerprints import chunking_fingerprint
from resources.types import Chunking


def test_fingerprint_changes_with_everything_that_moves_a_cut() -> None:
    base = Chunking(max_tokens=256, overlap_tokens=32)
    others = [Chunking(max_tokens=257, overlap_tokens=32), Chunking(max_tokens=256, overlap_tokens=31)]
    prints = {chunking_fingerprint(each, "a" * 64) for each in (base, *others)}
    prints.add(chunking_fingerprint(base, "b" * 64))
    assert len(prints) == 4
    assert chunking_fingerprint(base, "a" * 64) in prints
