"""Which Dagster runs lifeline closes, and which it leaves to their workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from resources.orchestration import lifeline, tags
from resources.orchestration.lifeline import Lifeline
from resources.orchestration.runtime import Runtime
from resources.orchestration.storage import DRIVER
from resources.settings import Settings
from tests.builders import make_job, make_worker
from tests.database import Database

OVER = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


@dg.job
def nothing() -> None:
    """Does nothing: its runs are given their states by the tests."""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def rescuer(database: Database, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lifeline]:
    """A lifeline to which everything is old."""
    monkeypatch.setattr(lifeline, "UNCLAIMED_RUN_SECONDS", 0.0)
    settings = Settings.load(
        redis_url="redis://127.0.0.1:1/0",  # nobody answers: every breaker is this process's own
        embedding_api_base_url="http://127.0.0.1:1/v1",
        pipeline={"database_url": database.pipeline_url, "dispatch_seconds": 0.0},
        dagster={"database_url": database.pipeline_url.replace("postgresql://", DRIVER)},
    )
    parts = Runtime(settings)
    with closing(Lifeline(parts, instance)) as found:
        yield found
    parts.database.close()


def make_run(instance: DagsterInstance, status: DagsterRunStatus, batch_id: UUID | None = None) -> DagsterRun:
    given = {} if batch_id is None else {tags.BATCH: str(batch_id)}
    return instance.create_run_for_job(nothing, status=status, tags=given)


def make_batch(owner: psycopg.Connection[Any], run_id: str | None, state: str) -> UUID:
    """Make the batch of a run: its lease is fresh, or it has ended."""
    make_worker(owner)
    corpus_id = make_job(owner, f"https://example.com/{run_id}").corpus_id
    row = owner.execute(
        "INSERT INTO cixml.batches (kind, corpus_id, items, run_id, state, lease_until, finished_at) VALUES "
        "('ingest', %s, 0, %s, %s, now() + interval '1 hour', CASE WHEN %s IN ('done', 'lost') THEN now() END) "
        "RETURNING id",
        [corpus_id, run_id, state, state],
    ).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def status_of(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


@pytest.mark.parametrize("state", ["done", "lost"])
def test_a_run_whose_batch_has_ended_is_closed(
    rescuer: Lifeline, instance: DagsterInstance, owner: psycopg.Connection[Any], state: str
) -> None:
    run = make_run(instance, DagsterRunStatus.STARTED)
    make_batch(owner, run.run_id, state)
    rescuer.sweep()
    assert status_of(instance, run) is DagsterRunStatus.FAILURE


def test_a_run_whose_batch_beats_is_left_alone(
    rescuer: Lifeline, instance: DagsterInstance, owner: psycopg.Connection[Any]
) -> None:
    run = make_run(instance, DagsterRunStatus.STARTED)
    make_batch(owner, run.run_id, "running")
    rescuer.sweep()
    assert status_of(instance, run) is DagsterRunStatus.STARTED


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_a_run_that_never_began_its_batch_is_closed(
    rescuer: Lifeline, instance: DagsterInstance, status: DagsterRunStatus
) -> None:
    run = make_run(instance, status, uuid4())
    rescuer.sweep()
    assert status_of(instance, run) in OVER


def test_a_run_of_the_ui_that_died_before_it_made_a_batch_is_closed(
    rescuer: Lifeline, instance: DagsterInstance
) -> None:
    run = make_run(instance, DagsterRunStatus.STARTED)
    rescuer.sweep()
    assert status_of(instance, run) is DagsterRunStatus.FAILURE


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING])
def test_a_run_of_the_ui_that_waits_for_its_start_is_dagsters_business(
    rescuer: Lifeline, instance: DagsterInstance, status: DagsterRunStatus
) -> None:
    run = make_run(instance, status)
    rescuer.sweep()
    assert status_of(instance, run) is status


@pytest.mark.parametrize("status", [None, DagsterRunStatus.FAILURE])
def test_a_claim_without_a_run_that_could_begin_it_lapses(
    rescuer: Lifeline, instance: DagsterInstance, owner: psycopg.Connection[Any], status: DagsterRunStatus | None
) -> None:
    batch_id = make_batch(owner, None, "claimed")
    if status is not None:
        make_run(instance, status, batch_id)
    rescuer.lapse()
    assert [batch.batch_id for batch in rescuer.reap()] == [batch_id]


def test_a_claim_whose_run_is_on_its_way_keeps_its_time(
    rescuer: Lifeline, instance: DagsterInstance, owner: psycopg.Connection[Any]
) -> None:
    make_run(instance, DagsterRunStatus.STARTING, make_batch(owner, None, "claimed"))
    rescuer.lapse()
    assert rescuer.reap() == []


@pytest.mark.parametrize("status", [TickStatus.STARTED, TickStatus.FAILURE])
def test_a_claim_that_the_last_tick_has_noted_waits_for_its_launch(
    rescuer: Lifeline, instance: DagsterInstance, owner: psycopg.Connection[Any], status: TickStatus
) -> None:
    """The code server is away between the tick's evaluation and the launch of what it asked for."""
    noted, lost = (make_batch(owner, None, "claimed") for _ in range(2))
    make_tick(instance, status, noted)
    rescuer.lapse()
    assert [batch.batch_id for batch in rescuer.reap()] == [lost]


def test_a_claim_whose_tick_another_one_followed_lapses(
    rescuer: Lifeline, instance: DagsterInstance, owner: psycopg.Connection[Any]
) -> None:
    batch_id = make_batch(owner, None, "claimed")
    make_tick(instance, TickStatus.FAILURE, batch_id)
    make_tick(instance, TickStatus.SKIPPED)
    rescuer.lapse()
    assert [batch.batch_id for batch in rescuer.reap()] == [batch_id]


def test_a_noted_claim_does_not_wait_for_ever(
    rescuer: Lifeline, instance: DagsterInstance, owner: psycopg.Connection[Any]
) -> None:
    """Somebody stopped the sensor in the UI: nobody launches what it had asked for."""
    batch_id = make_batch(owner, None, "claimed")
    owner.execute("UPDATE cixml.batches SET created_at = now() - interval '10 minutes' WHERE id = %s", [batch_id])
    make_tick(instance, TickStatus.FAILURE, batch_id)
    rescuer.lapse()
    assert [batch.batch_id for batch in rescuer.reap()] == [batch_id]


def make_tick(instance: DagsterInstance, status: TickStatus, *noted: UUID) -> None:
    """Make a tick of one sensor that asked for the runs of batches, of which none is launched."""
    location = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1)
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "repository"), "sensor")
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
    if instance.get_instigator_state(origin.get_id(), state.selector_id) is None:
        instance.add_instigator_state(state)
    instance.create_tick(
        TickData(
            instigator_origin_id=origin.get_id(),
            instigator_name="sensor",
            instigator_type=InstigatorType.SENSOR,
            status=status,
            error=SerializableErrorInfo("UNAVAILABLE", [], None) if status is TickStatus.FAILURE else None,
            timestamp=time.time(),
            selector_id=state.selector_id,
            run_requests=[dg.RunRequest(run_key=str(batch_id)) for batch_id in noted],
            reserved_run_ids=[str(uuid4()) for _ in noted],
        )
    )


def test_a_batch_that_runs_does_not_lapse(
    rescuer: Lifeline, instance: DagsterInstance, owner: psycopg.Connection[Any]
) -> None:
    make_batch(owner, "run-1", "running")
    rescuer.lapse()
    assert rescuer.reap() == []
