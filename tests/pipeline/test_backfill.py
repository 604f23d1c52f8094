"""A backfill from the UI beside the jobs of callers."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from tests.fakes.web_server import Page, WebServer
from tests.pipeline.dagster_api import DagsterApi
from tests.stack import Stack, ended, poll

CORPORA = 24
"""A backfill may have two runs at once."""


@pytest.mark.slow
def test_a_backfill_of_many_corpora_waits_its_turn_and_callers_do_not_feel_it(
    stack: Stack, dagster_api: DagsterApi, owner: psycopg.Connection[Any]
) -> None:
    page = Page("<main><h1>Opening hours</h1><p>We are open from nine to five, but not on Sunday.</p></main>")
    with WebServer({f"/{number}": page for number in range(CORPORA)}) as site, stack.client() as client:
        jobs = [client.submit(f"many-{number}", [f"{site.url}/{number}"]) for number in range(CORPORA)]
        for job in jobs:
            assert ended(client, job["id"])["status"] == "succeeded"
        keys = [row[0] for row in owner.execute("SELECT partition_key FROM cixml.corpora WHERE name LIKE 'many-%'")]
        backfill = dagster_api.launch_backfill(["embeddings", "all_minilm_l6_v2"], keys)
        poll(lambda: dagster_api.runs_of_backfill(backfill), "the backfill's first run", timeout_seconds=90)
        started = time.monotonic()
        assert ended(client, client.submit("beside", [f"{site.url}/0"])["id"])["status"] == "succeeded"
        assert time.monotonic() - started < 30
        over = [run for run in dagster_api.runs_of_backfill(backfill) if run["status"] == "SUCCESS"]
        assert len(over) < CORPORA, "the page of a caller waited for the backfill"
        status = poll(
            lambda: (found := dagster_api.backfill_status(backfill)).startswith("COMPLETED") and found,
            "the end of the backfill",
            timeout_seconds=300,
        )
    assert status == "COMPLETED_SUCCESS"
    runs = dagster_api.runs_of_backfill(backfill)
    assert len(runs) == CORPORA
    assert {run["status"] for run in runs} == {"SUCCESS"}
    for run in runs:
        assert sum(other["startTime"] <= run["startTime"] < other["endTime"] for other in runs) <= 2
