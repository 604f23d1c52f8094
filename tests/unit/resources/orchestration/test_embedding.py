from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from resources.orchestration.embedding import LEAST_REQUEST_TOKENS, REQUESTS_PER_RUN, request_tokens


def test_a_small_page_is_one_request() -> None:
    assert request_tokens(900, most=16_384) == LEAST_REQUEST_TOKENS


def test_a_large_corpus_fills_requests_to_the_setting() -> None:
    assert request_tokens(10_000_000, most=16_384) == 16_384


def test_a_fill_leaves_searches_a_place_at_the_server() -> None:
    assert request_tokens(10_000_000, most=16_384, fills=True) == 4096
    assert request_tokens(10_000_000, most=2048, fills=True) == 2048


@given(owed=st.integers(0, 10**8), most=st.integers(LEAST_REQUEST_TOKENS, 10**6))
def test_a_request_is_a_small_share_of_its_run_within_the_setting(owed: int, most: int) -> None:
    size = request_tokens(owed, most=most)
    assert size <= most
    assert size <= max(LEAST_REQUEST_TOKENS, owed / REQUESTS_PER_RUN)
