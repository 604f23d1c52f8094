from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from benchmarks.product import MODEL, MODELS_FILE
from benchmarks.yardstick.cutting import cut
from resources.embedding.registry import load_registry
from resources.embedding.tokenizer import count_tokens, load_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(load_registry(MODELS_FILE).get(MODEL).tokenizer_path)


def test_chunks_overlap_and_hold_all_words_in_order(tokenizer: Tokenizer) -> None:
    words = [f"w{number}" for number in range(300)]
    chunks = [chunk.split() for chunk, _ in cut(" ".join(words), tokenizer, max_tokens=64, overlap_tokens=16)]
    seen = chunks[0]
    for before, chunk in pairwise(chunks):
        shared = before.index(chunk[0])
        assert chunk[: len(before) - shared] == before[shared:]
        seen = seen + chunk[len(before) - shared :]
    assert seen == words


@given(text=st.text(alphabet=st.sampled_from("aZ é9.-,\n漢"), max_size=400))
def test_a_chunk_has_as_many_tokens_as_it_says_and_never_too_many(tokenizer: Tokenizer, text: str) -> None:
    for chunk, tokens in cut(text, tokenizer, max_tokens=32, overlap_tokens=8):
        assert count_tokens(tokenizer, [chunk]) == [tokens]
        assert tokens <= 32


def test_a_text_without_words_has_no_chunk(tokenizer: Tokenizer) -> None:
    assert list(cut(" \n ", tokenizer, max_tokens=32, overlap_tokens=8)) == []
