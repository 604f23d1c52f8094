"""The laws of packing texts into requests."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from resources.embedding.batching import pack

lengths = st.lists(st.integers(min_value=1, max_value=300), max_size=200)


@given(lengths, st.integers(1, 1000), st.integers(1, 50))
def test_every_text_is_in_exactly_one_batch(tokens: list[int], max_tokens: int, max_texts: int) -> None:
    batches = list(pack(enumerate(tokens), max_tokens=max_tokens, max_texts=max_texts))
    assert sorted(key for batch in batches for key in batch) == list(range(len(tokens)))


@given(lengths, st.integers(1, 1000), st.integers(1, 50))
def test_no_batch_is_empty_or_above_a_limit_unless_one_text_is(
    tokens: list[int], max_tokens: int, max_texts: int
) -> None:
    for batch in pack(enumerate(tokens), max_tokens=max_tokens, max_texts=max_texts):
        assert 1 <= len(batch) <= max_texts
        assert len(batch) == 1 or sum(tokens[key] for key in batch) <= max_tokens


@given(lengths, st.integers(1, 1000), st.integers(1, 50))
def test_texts_come_longest_first(tokens: list[int], max_tokens: int, max_texts: int) -> None:
    order = [
        tokens[key] for batch in pack(enumerate(tokens), max_tokens=max_tokens, max_texts=max_texts) for key in batch
    ]
    assert order == sorted(tokens, reverse=True)


@given(lengths, st.integers(1, 1000), st.integers(1, 50))
def test_two_neighbouring_batches_would_not_fit_into_one(tokens: list[int], max_tokens: int, max_texts: int) -> None:
    batches = list(pack(enumerate(tokens), max_tokens=max_tokens, max_texts=max_texts))
    for first, second in pairwise(batches):
        is_full = len(first) == max_texts
        assert is_full or sum(tokens[key] for key in first) + tokens[second[0]] > max_tokens
