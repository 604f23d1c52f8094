"""The API names a way of cutting text by the same fingerprint as the code that cuts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cixml_assets import chunking
from resources import fingerprints
from resources.types import Chunking


@given(st.integers(16, 8192), st.integers(0, 4096), st.sampled_from(["a" * 64, "b" * 64]))
def test_the_floor_and_the_chunker_agree(max_tokens: int, overlap_tokens: int, tokenizer_sha256: str) -> None:
    given_chunking = Chunking(max_tokens=max_tokens, overlap_tokens=overlap_tokens)
    floor = fingerprints.chunking_fingerprint(given_chunking, tokenizer_sha256)
    assert floor == chunking.chunking_fingerprint(given_chunking, tokenizer_sha256)
    assert floor != fingerprints.chunking_fingerprint(given_chunking, "c" * 64)
