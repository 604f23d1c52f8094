"""A job that is cancelled while a run works on it, on the whole product."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from resources.identifiers import Prefix, parse_public_id
from resources.settings import FetchSettings
from tests.fakes.web_server import Page, WebServer
from tests.integration.test_state_machines import cancelling
from tests.stack import Stack, ended, poll

PAGES = 40
HOST_CONCURRENCY = FetchSettings().host_concurrency


@pytest.mark.slow
def test_a_cancelled_job_starts_nothing_more_and_frees_its_slot(stack: Stack) -> None:
    slow = {f"/{number}": Page(f"<p>Page {number} of a slow site.</p>", delay_seconds=3) for number in range(PAGES)}
    with (
        WebServer(slow) as site,
        stack.client() as client,
        psycopg.connect(stack.values["DATABASE_URL"], autocommit=True) as owner,
        cancelling(stack.values["CIXML_API__DATABASE_URL"]) as cancel,
    ):
        job = client.submit("given-up", [f"{site.url}/{number}" for number in range(PAGES)])
        poll(lambda: site.paths, "the first fetch")
        job_id = parse_public_id(Prefix.JOB, job["id"])
        caller = one(owner, "SELECT caller_id FROM cixml.jobs WHERE id = %s", job_id)
        cancel(caller, job_id)
        cancelled_at = time.monotonic()
        assert ended(client, job["id"], timeout_seconds=10)["status"] == "cancelled"
        fetched = len(site.paths)
        poll(
            lambda: one(owner, "SELECT count(*) FROM cixml.batches WHERE state = 'running'") == 0,
            "the free slot",
            timeout_seconds=15,
        )
        assert time.monotonic() - cancelled_at < 15
        assert fetched < PAGES
        assert len(site.paths) - fetched <= HOST_CONCURRENCY  # those on their way; the next ones start 3 s later
        assert sum(client.job(job["id"])["items"][status] for status in ("cancelled", "indexed")) == PAGES
        live = one(
            owner,
            "SELECT count(*) FROM cixml.documents d JOIN cixml.corpora k ON k.id = d.corpus_id "
            "WHERE k.name = 'given-up' AND d.live_version_id IS NOT NULL",
        )
        assert live == len(list(client.items(job["id"], status="indexed")))


def one(owner: psycopg.Connection[Any], statement: str, *parameters: object) -> Any:
    row = owner.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return row[0]
