"""A corpus that is deleted while a run works on it and a backfill is open, on the whole product."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from resources.orchestration.deletion import PARTITIONS
from resources.orchestration.storage import DRIVER
from tests.deletion import left_of
from tests.fakes.web_server import Page, WebServer
from tests.pipeline.dagster_api import DagsterApi
from tests.stack import Stack, ended, poll

SLOW = 12


def page(text: str, **options: Any) -> Page:
    return Page(f"<html lang=en><main><p>{f'{text}. ' * 20}</p></main></html>", **options)


@pytest.mark.slow
def test_a_deleted_corpus_ends_at_nothing_and_its_name_begins_anew(stack: Stack, dagster_api: DagsterApi) -> None:
    slow = {f"/{number}": page(f"Page {number} of a slow site", delay_seconds=2) for number in range(SLOW)}
    with WebServer({"/zebra": page("The zebra is striped"), "/yak": page("The yak is woolly"), **slow}) as site:
        key = stack.new_key()
        headers = {"Authorization": f"Bearer {key}"}
        with (
            stack.client(key) as client,
            psycopg.connect(stack.values["DATABASE_URL"], autocommit=True) as owner,
            httpx.Client(base_url=stack.url, headers=headers, timeout=30) as api,
        ):
            assert ended(client, client.submit("left", [f"{site.url}/zebra"])["id"])["status"] == "succeeded"
            corpus_id, partition = corpus(owner)
            job = client.submit("left", [f"{site.url}/{number}" for number in range(SLOW)])
            poll(lambda: len(site.paths) > 1, "the first slow fetch")
            backfill = dagster_api.launch_backfill(["raw_pages"], [partition])
            assert partitions(stack, partition) == 1

            answer = api.delete("/v1/corpora/left")
            assert answer.status_code == 202
            assert api.get("/v1/corpora/left").status_code == 404
            again = client.submit("left", [f"{site.url}/yak"])

            assert ended(client, job["id"], timeout_seconds=20)["status"] == "cancelled"
            assert ended(client, again["id"])["status"] == "succeeded"
            receipt = poll(lambda: done(api, answer.headers["location"]), "the receipt", timeout_seconds=180)
            assert receipt["removed"]["documents"] >= 1
            assert receipt["removed"]["partitions"] == 1
            assert left_of(owner, corpus_id) == {}
            assert [hit["text"][:11] for hit in client.search("left", "zebra yak")["results"]] == ["The yak is "]
    assert partitions(stack, partition) == 0
    assert dagster_api.backfill_status(backfill).startswith("COMPLETED")
    assert dagster_api.runs(corpus_prefix=partition)
    assert dagster_api.unfinished(corpus_prefix=partition) == []


def done(api: httpx.Client, path: str) -> dict[str, Any] | None:
    receipt: dict[str, Any] = api.get(path).json()
    return receipt if receipt["status"] == "done" else None


def corpus(owner: psycopg.Connection[Any]) -> tuple[UUID, str]:
    row = owner.execute("SELECT id, partition_key FROM cixml.corpora WHERE name = 'left'").fetchone()
    assert row
    return row[0], row[1]


def partitions(stack: Stack, key: str) -> int:
    """Count the keys of a corpus that Dagster has."""
    url = stack.values["CIXML_DAGSTER__DATABASE_URL"].replace(DRIVER, "postgresql://", 1)
    with psycopg.connect(url) as dagster:
        row = dagster.execute(
            "SELECT count(*) FROM dynamic_partitions WHERE partitions_def_name = %s AND partition = %s",
            [PARTITIONS, key],
        ).fetchone()
    assert row
    return int(row[0])
