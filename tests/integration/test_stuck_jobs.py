"""The operator's question: which jobs have not moved for half an hour, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from resources.postgres import items
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.items import ItemEnd
from resources.types import ItemStatus
from tests.builders import make_job, make_worker
from tests.database import Database
from tests.integration.test_pipeline_rows import begin, claim_all

AGE = "UPDATE cixml.jobs SET progressed_at = progressed_at - interval '31 minutes'"


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def pipeline(database: Database) -> Iterator[PipelineDatabase]:
    found = PipelineDatabase(database.pipeline_url)
    yield found
    found.close()


def stuck(owner: psycopg.Connection[Any]) -> dict[UUID, tuple[str, str]]:
    rows = owner.execute("SELECT job_id, stage, reason FROM cixml.stuck_jobs('30 minutes')").fetchall()
    return {job_id: (stage, reason) for job_id, stage, reason in rows}


def test_a_job_is_stuck_once_nothing_of_it_ended_for_so_long(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a", "https://example.com/b")
    assert stuck(owner) == {}
    owner.execute(AGE)
    assert stuck(owner) == {job.job_id: ("scraping", "slot")}
    (claimed,) = claim_all(pipeline)
    assert stuck(owner) == {job.job_id: ("scraping", "starting")}
    begin(pipeline, claimed.batch_id)
    assert stuck(owner) == {job.job_id: ("scraping", "working")}
    with pipeline.transaction() as connection:
        ends = [ItemEnd(item_id=job.item_ids[0], status=ItemStatus.UNCHANGED)]
        items.end(connection, batch_id=claimed.batch_id, ends=ends)
    assert stuck(owner) == {}  # it moves
    with pipeline.transaction() as connection:
        ends = [ItemEnd(item_id=job.item_ids[1], status=ItemStatus.UNCHANGED)]
        items.end(connection, batch_id=claimed.batch_id, ends=ends)
    owner.execute(AGE)
    assert stuck(owner) == {}  # it is over


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM cixml.workers", "no_worker"),
        ("UPDATE cixml.models SET is_enabled = false", "model_disabled"),
        ("INSERT INTO cixml.hosts VALUES ('example.com', now() + interval '1 minute', 'http_429')", "host"),
        (
            "WITH q AS (UPDATE cixml.work_queue SET ready_at = now() + interval '1 minute') "
            "UPDATE cixml.job_items SET waiting_reason = 'breaker_open', start_stage = 'embedding'",
            "breaker_open",
        ),
    ],
)
def test_a_stuck_job_says_what_it_waits_for(owner: psycopg.Connection[Any], change: str, reason: str) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    owner.execute(AGE)
    owner.execute(change.encode())
    stage = "embedding" if reason == "breaker_open" else "scraping"
    assert stuck(owner) == {job.job_id: (stage, reason)}


def test_a_job_whose_page_another_job_has_under_work_says_so(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    first = make_job(owner, "https://example.com/a")
    claim_all(pipeline)
    second = make_job(owner, "https://example.com/a")
    owner.execute(AGE)
    assert stuck(owner) == {first.job_id: ("scraping", "starting"), second.job_id: ("scraping", "same_url")}
