from __future__ import annotations

import pytest

from benchmarks.percentiles import percentile, spread


@pytest.mark.parametrize(("share", "expected"), [(1, 0.01), (50, 0.5), (95, 0.95), (99, 0.99), (100, 1.0)])
def test_percentile_is_the_value_that_so_many_percent_do_not_exceed(share: int, expected: float) -> None:
    assert percentile([number / 100 for number in range(100, 0, -1)], share) == expected


def test_p95_of_twenty_is_the_second_slowest() -> None:
    assert spread([number / 1000 for number in range(1, 21)]) == {"p50": 10.5, "p95": 19, "min": 1, "max": 20}


def test_spread_of_one_value_is_that_value() -> None:
    assert set(spread([0.25], 99).items()) == {("p50", 250), ("p99", 250), ("min", 250), ("max", 250)}
