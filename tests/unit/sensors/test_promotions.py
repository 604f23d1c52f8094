from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from resources.orchestration import tags
from resources.postgres.promotions import DuePromotion
from sensors.attempts import MOST_AT_ONCE, RETRY_SECONDS
from sensors.promotions import next_runs

DUE = DuePromotion(index_version_id=UUID(int=7), partition_key="docs-1")


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as found:
        yield found


def attempt(instance: DagsterInstance, status: DagsterRunStatus, index_version: int = 7) -> str:
    run_id = f"{len(instance.get_runs()):036d}"
    of = {tags.PROMOTION: str(UUID(int=index_version))}
    instance.add_run(dg.DagsterRun(job_name="promotion", run_id=run_id, status=status, tags=of))
    return run_id


def next_run(instance: DagsterInstance, due: DuePromotion, *, now: float) -> dg.RunRequest | None:
    found = next_runs(instance, [due], now=now)
    return found[0] if found else None


def test_the_first_attempt_is_a_run_of_the_corpus_in_nobodys_batch(instance: DagsterInstance) -> None:
    request = next_run(instance, DUE, now=time.time())
    assert request is not None
    assert request.tags[tags.PARTITION] == "docs-1"
    assert tags.BATCH not in request.tags
    again = next_run(instance, DUE, now=time.time())
    assert again is not None
    assert again.run_key == request.run_key, "a repeated tick starts nothing twice"


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])
def test_one_run_at_a_time(instance: DagsterInstance, status: DagsterRunStatus) -> None:
    attempt(instance, status)
    assert next_run(instance, DUE, now=time.time()) is None


def test_a_failed_attempt_is_followed_by_another_under_a_new_key_after_a_pause(instance: DagsterInstance) -> None:
    first = next_run(instance, DUE, now=time.time())
    run_id = attempt(instance, DagsterRunStatus.FAILURE)
    assert next_run(instance, DUE, now=time.time()) is None
    second = next_run(instance, DUE, now=time.time() + RETRY_SECONDS + 1)
    assert first is not None
    assert second is not None
    assert second.run_key == f"promotion:{DUE.index_version_id}:{run_id}" != first.run_key


def test_each_failed_attempt_doubles_the_pause(instance: DagsterInstance) -> None:
    for _ in range(3):
        attempt(instance, DagsterRunStatus.FAILURE)
    assert next_run(instance, DUE, now=time.time() + 3 * RETRY_SECONDS) is None
    assert next_run(instance, DUE, now=time.time() + 4 * RETRY_SECONDS + 1) is not None


def many(number: int) -> list[DuePromotion]:
    return [DuePromotion(index_version_id=UUID(int=each), partition_key=f"docs-{each}") for each in range(number)]


def test_builds_that_fail_keep_no_other_waiting(instance: DagsterInstance) -> None:
    due = many(MOST_AT_ONCE + 1)
    for each in range(MOST_AT_ONCE):
        attempt(instance, DagsterRunStatus.FAILURE, each)
    assert [each.tags[tags.PARTITION] for each in next_runs(instance, due, now=time.time())] == [f"docs-{MOST_AT_ONCE}"]


def test_so_many_are_under_way_at_once_and_no_more(instance: DagsterInstance) -> None:
    due = many(2 * MOST_AT_ONCE)
    assert len(next_runs(instance, due, now=time.time())) == MOST_AT_ONCE
    for each in range(MOST_AT_ONCE - 1):
        attempt(instance, DagsterRunStatus.STARTED, each)
    assert len(next_runs(instance, due, now=time.time())) == 1
