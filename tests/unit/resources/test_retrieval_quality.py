from __future__ import annotations

import math
from uuid import UUID

import pytest

from resources.retrieval_quality import ndcg, overlap, percentile, recall

A, B, C, D = (UUID(int=number) for number in range(4))


def test_what_is_relevant_counts_less_the_later_it_comes() -> None:
    assert ndcg([A, B, C], [A]) == 1.0
    assert ndcg([B, A, C], [A]) == pytest.approx(1 / math.log2(3))
    assert ndcg([B, A], [A, B]) == 1.0
    assert ndcg([C, D], [A]) == 0.0
    assert ndcg([C] * 10 + [A], [A]) == 0.0, "the eleventh place counts for nothing"


def test_recall_and_overlap_are_shares_of_the_first_ten() -> None:
    assert recall([A, B], [A, C]) == 0.5
    assert overlap([A, B], [B, C, D, A]) == 0.5
    assert overlap([], []) == 1.0


def test_a_percentile_is_a_value_that_was_there() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3.0
    assert percentile([], 0.5) == 0.0
