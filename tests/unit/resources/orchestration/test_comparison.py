"""What of an index version is worse than is allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resources.orchestration.comparison import Limits, Measures, troubles

LIMITS = Limits(max_quality_drop=0.02, max_slowdown_ratio=1.5, max_slowdown_ms=50.0)
SERVING = Measures(model="m", ndcg_at_10=0.6, recall_at_10=0.8, p50_ms=100.0, p95_ms=200.0)


@pytest.mark.parametrize(
    ("served_ms", "candidate_ms", "is_slow"),
    [
        (100.0, 150.0, False),
        (100.0, 151.0, True),
        (2.0, 40.0, False),  # twenty times as long, and nobody feels it
        (2.0, 52.1, True),
        (400.0, 590.0, False),  # 190 ms longer, but less than half as long again
        (400.0, 601.0, True),
        (100.0, 1.0, False),
    ],
)
def test_slow_is_what_is_slower_by_both_limits(served_ms: float, candidate_ms: float, is_slow: bool) -> None:
    found = troubles(replace(SERVING, p50_ms=candidate_ms), replace(SERVING, p50_ms=served_ms), LIMITS)
    assert bool(found) is is_slow
    if found:
        assert found == [
            f"a search takes {candidate_ms:.1f} ms where it took {served_ms:.1f}: more than 1.5 times as long, "
            "and than 50 ms longer"
        ]


def test_a_slow_tail_is_told_and_not_judged() -> None:
    assert troubles(replace(SERVING, p95_ms=5000.0), SERVING, LIMITS) == []


@pytest.mark.parametrize(
    ("name", "field", "least"), [("nDCG@10", "ndcg_at_10", 0.58), ("recall@10", "recall_at_10", 0.78)]
)
def test_what_finds_less_is_worse(name: str, field: str, least: float) -> None:
    assert troubles(replace(SERVING, **{field: least + 1e-9}), SERVING, LIMITS) == []
    (found,) = troubles(replace(SERVING, **{field: least - 0.001}), SERVING, LIMITS)
    assert found.startswith(name)
    assert troubles(replace(SERVING, **{field: None}), SERVING, LIMITS) == [], "nothing is labelled"


def test_every_trouble_is_named() -> None:
    worst = Measures(model="n", ndcg_at_10=0.0, recall_at_10=0.0, p50_ms=1000.0, p95_ms=1000.0)
    assert [each.split()[0] for each in troubles(worst, SERVING, LIMITS)] == ["nDCG@10", "recall@10", "a"]
