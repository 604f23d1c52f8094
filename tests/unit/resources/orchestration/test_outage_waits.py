"""How long pages wait for an embedding server that is away."""

from __future__ import annotations

import pytest

from resources.errors import BreakerOpenError, EmbeddingUnavailableError
from resources.orchestration.pgvector_io_manager import _wait_seconds as wait_seconds


@pytest.mark.parametrize(
    ("outage_seconds", "least", "most"), [(0, 12.5, 25), (100, 12.5, 25), (240, 30, 60), (3600, 60, 120)]
)
def test_the_longer_the_server_is_away_the_less_often_it_is_tried(
    outage_seconds: float, least: float, most: float
) -> None:
    waits = [wait_seconds(BreakerOpenError(outage_seconds=outage_seconds)) for _ in range(200)]
    assert least <= min(waits) < max(waits) <= most
    assert max(waits) - min(waits) > 0.3 * (most - least), "batches that wait for one server come back one by one"


def test_an_hour_without_the_server_costs_a_batch_some_fifty_runs() -> None:
    now = runs = 0.0
    while now < 3600:
        now += wait_seconds(BreakerOpenError(outage_seconds=now))
        runs += 1
    assert 30 < runs < 70


def test_a_server_that_says_when_to_come_back_is_obeyed() -> None:
    assert wait_seconds(BreakerOpenError(retry_after_seconds=300.0)) == 300.0
    assert wait_seconds(EmbeddingUnavailableError(retry_after_seconds=7.0)) == 7.0
