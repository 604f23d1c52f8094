"""What a graph needs, by what is beside it and what left it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.postgres.graph_upkeep import NOTHING, ServingGraph, Upkeep, needs

THRESHOLD = 4000
MERGES, ANEW = Upkeep(merges=True), Upkeep(is_outgrown=True)
URGENT = Upkeep(is_outgrown=True, is_urgent=True)


def graph(built: int, *, merged: int = 0, dead: int = 0) -> ServingGraph:
    return ServingGraph(
        index_version_id=uuid4(),
        relation="vectors_x",
        dimension=384,
        built_rows=built,
        merged_rows=merged,
        dead_rows=dead,
    )


@pytest.mark.parametrize(
    ("serving", "beside", "upkeep"),
    [
        (graph(60_000), 0, NOTHING),
        (graph(60_000), 1000, NOTHING),
        (graph(60_000), 1001, MERGES),
        (graph(60_000, merged=9500), 1001, NOTHING),  # enough was merged: it waits for a build
        (graph(60_000, merged=9500), 4001, ANEW),
        (graph(6_000), 1001, NOTHING),
        (graph(10_000), 4001, ANEW),
        (graph(60_000), 20_001, MERGES),  # too much to scan, and less than what a build is worth
        (graph(40_000), 20_001, URGENT),
        (graph(60_000, merged=10_000), 20_001, URGENT),  # what was merged since counts, too: no load is merged whole
        (graph(60_000, dead=40_000), 20_001, URGENT),
        (graph(60_000, dead=20_000), 0, NOTHING),
        (graph(60_000, dead=21_000), 0, ANEW),
        (graph(1_000_000, merged=50_000), 4001, MERGES),
        (graph(1_000, dead=1_000), 0, NOTHING),  # a small one is scanned in no time, whatever left it
    ],
)
def test_a_graph_is_left_alone_merged_into_or_built_anew(serving: ServingGraph, beside: int, upkeep: Upkeep) -> None:
    assert needs(serving, beside=beside, threshold=THRESHOLD) == upkeep


@given(
    st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**7), st.integers(0, 10**6), st.integers(1, 10**4)
)
def test_what_a_search_scans_has_a_bound(built: int, merged: int, dead: int, beside: int, threshold: int) -> None:
    found = needs(graph(built, merged=merged, dead=dead), beside=beside, threshold=threshold)
    assert not (found.merges and found.is_outgrown)
    assert found.is_outgrown or not found.is_urgent
    if beside > threshold:
        assert found.merges or found.is_outgrown
    if beside > 5 * threshold:
        assert found.merges or found.is_urgent
