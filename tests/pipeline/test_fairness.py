"""One caller's page beside another caller's thousands on slow, polite hosts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from resources.identifiers import Prefix, parse_public_id
from resources.postgres.cancellation import cancel_job
from tests.fakes.web_server import Page, WebServer
from tests.stack import Stack, ended, poll

HOSTS = 10
PAGES_A_HOST = 1000
SECONDS_A_PAGE = 0.5
LONGEST_WAIT_SECONDS = 30.0
BUSY = """
SELECT b.id FROM cixml.batches b JOIN cixml.corpora c ON c.id = b.corpus_id
WHERE c.name = 'ten-thousand' AND b.state = 'running'
"""
HELD = "SELECT 1 FROM cixml.leases l JOIN cixml.corpora c ON c.id = l.corpus_id WHERE c.name = 'ten-thousand' LIMIT 1"


@pytest.fixture
def slow_sites() -> Iterator[list[WebServer]]:
    """Hosts that take their time with each page and ask for a second between two."""
    with ExitStack() as servers:
        yield [
            servers.enter_context(
                WebServer(
                    {
                        f"/{page}": Page(
                            f"<main><p>Slow page {page} of {host}.</p></main>", delay_seconds=SECONDS_A_PAGE
                        )
                        for page in range(PAGES_A_HOST)
                    },
                    host=f"127.0.0.{20 + host}",
                    robots="User-agent: *\nCrawl-delay: 1\n",
                )
            )
            for host in range(HOSTS)
        ]


@pytest.mark.slow
def test_a_page_is_searchable_in_half_a_minute_beside_ten_thousand_of_another_caller(
    stack: Stack, slow_sites: list[WebServer]
) -> None:
    with (
        stack.client() as large,
        stack.client() as small,
        WebServer(
            {f"/{n}": Page(f"<main><p>The single page {n} of a small caller.</p></main>") for n in range(3)}
        ) as site,
        psycopg.connect(stack.values["DATABASE_URL"], autocommit=True) as owner,
    ):
        jobs = [
            large.submit("ten-thousand", [f"{host.url}/{page}" for page in range(PAGES_A_HOST)])["id"]
            for host in slow_sites
        ]
        try:
            poll(lambda: len(owner.execute(BUSY).fetchall()) >= 3, "a large job on every slot it may have")
            taken = [_seconds_to_searchable(small, f"{site.url}/{page}") for page in range(3)]
        finally:
            asyncio.run(_cancel(stack, jobs))
        assert max(taken) < LONGEST_WAIT_SECONDS
        poll(lambda: owner.execute(HELD).fetchone() is None, "the cancelled job to free its slots")
        assert {large.job(job)["status"] for job in jobs} == {"cancelled"}


def _seconds_to_searchable(client: Any, url: str) -> float:
    begun = time.monotonic()
    job = client.submit("one-page", [url])
    assert ended(client, job["id"], timeout_seconds=2 * LONGEST_WAIT_SECONDS)["status"] == "succeeded"
    assert client.search("one-page", "the single page of a small caller")["results"]
    return time.monotonic() - begun


async def _cancel(stack: Stack, jobs: list[str]) -> None:
    async with await psycopg.AsyncConnection.connect(stack.values["DATABASE_URL"]) as connection:
        for job in jobs:
            job_id = parse_public_id(Prefix.JOB, job)
            row = await (
                await connection.execute("SELECT caller_id FROM cixml.jobs WHERE id = %s", [job_id])
            ).fetchone()
            assert row
            await cancel_job(connection, caller_id=row[0], job_id=job_id)
            await connection.commit()
