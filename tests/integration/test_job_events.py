"""A job's events over the API: complete, in order, and resumed where they broke off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from fastapi import Request

from cixml_api import job_stream
from cixml_api.job_stream import JobStream
from resources.identifiers import Prefix, parse_public_id
from resources.membership import caller_id_of
from resources.postgres import items
from resources.postgres.batches import Batch
from resources.postgres.database import Database as PipelineDatabase
from resources.types import Stage
from tests.api import ALICE, BOB, Api, running_api, write_keys
from tests.database import PEPPER, Database
from tests.integration.test_job_actions import begin_one, fail, finish, items_of, submit


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


def events_of(text: str) -> list[tuple[str, str, Any]]:
    """Return name, id and data of each event."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found


async def watch(api: Api, job_id: str, last: str | None = None) -> list[tuple[str, str, Any]]:
    answer = await api.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": last} if last else {})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events_of(answer.text)


async def ended_job(api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> dict[str, Any]:
    """A job of three pages and one given twice, whose pages failed in two transactions, the last one first."""
    job = await submit(api, *(f"https://docs.example.com/{name}" for name in "abca"))
    first, second, third, _ = await items_of(api, job["id"])
    batch = begin_one(owner, pipeline)
    fail(pipeline, batch, {third["id"]: Stage.SCRAPING})
    fail(pipeline, batch, {first["id"]: Stage.SCRAPING, second["id"]: Stage.SCRAPING})
    finish(pipeline, batch)
    return job


async def test_every_item_is_told_once_in_the_order_of_its_end_and_the_job_last(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    job = await ended_job(api, owner, pipeline)
    told = await watch(api, job["id"])
    ids = [each["id"] for each in await items_of(api, job["id"])]
    assert [(name, event_id) for name, event_id, _ in told] == [
        ("item", "1.3"),
        ("item", "3.2"),
        ("item", "4.0"),
        ("item", "4.1"),
        ("end", "4"),
    ]
    assert [data["id"] for _, _, data in told[:4]] == [ids[3], ids[2], ids[0], ids[1]]
    assert (told[1][2]["status"], told[1][2]["error"]["code"]) == ("failed", "store_failed")
    assert told[-1][2]["status"] == "partial"


async def test_a_stream_is_resumed_behind_any_event(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    job = await ended_job(api, owner, pipeline)
    whole = await watch(api, job["id"])
    for number, (_, event_id, _) in enumerate(whole[:-1], start=1):
        assert await watch(api, job["id"], event_id) == whole[number:], event_id
    answer = await api.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": whole[-1][1]})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_stream_follows_a_job_to_its_end(
    api: Api, owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    job = await submit(api)
    first, *_ = await items_of(api, job["id"])
    events = stream_of(api, job, ALICE).events(Request({"type": "http"}, receive=stays), (0, 0))

    async def next_event() -> tuple[str, str, Any]:
        return events_of((await asyncio.wait_for(anext(events), 10)).decode())[0]

    name, event_id, data = await next_event()
    assert (name, event_id, data["status"]) == ("job", "1", "queued")
    batch = begin_one(owner, pipeline)
    name, event_id, data = await next_event()
    assert (name, event_id, data["status"]) == ("job", "2", "running")
    fail(pipeline, batch, {first["id"]: Stage.SCRAPING})
    assert [(await next_event())[:2] for _ in range(2)] == [("item", "3.0"), ("progress", "3")]
    await api.post(f"/v1/jobs/{job['id']}/cancel", None)
    name, event_id, data = await next_event()
    assert (name, event_id, data["status"]) == ("job", "4", "cancelling")
    cancel_leased(pipeline, batch)
    assert [(await next_event())[:2] for _ in range(3)] == [("item", "5.1"), ("item", "5.2"), ("end", "5")]
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_stream_whose_key_is_taken_away_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_stream, "COMMENT_SECONDS", 0.0)
    job = await submit(api)
    events = stream_of(api, job, ALICE).events(Request({"type": "http"}, receive=stays), (0, 0))
    first = [(await asyncio.wait_for(anext(events), 10)).decode() for _ in range(2)]
    assert events_of(first[0])[0][0] == "job"
    assert first[1].startswith(":")
    write_keys(api.keys_file, BOB)
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(past_comments(events), 10)


async def past_comments(events: AsyncIterator[bytes]) -> bytes:
    while (event := await anext(events)).startswith(b":"):
        pass
    return event


async def test_a_caller_has_so_many_open_streams(database: Database, tmp_path: Path) -> None:
    settings = database.settings(api={"keys_file": tmp_path / "keys.json"}, limits={"open_streams": 1})
    async with running_api(settings) as api:
        job = await submit(api)
        await api.post(f"/v1/jobs/{job['id']}/cancel", None)
        with api.app.state.services.streams.one_more(caller_id_of(ALICE, PEPPER)):
            answer = await api.get(f"/v1/jobs/{job['id']}/events")
            assert (answer.status_code, answer.json()["violated-policies"]) == (429, ["open-streams"])
            assert int(answer.headers["retry-after"]) >= 1
            assert (await api.get(f"/v1/jobs/{job['id']}/events", key=BOB)).status_code == 404
        for _ in range(2):  # the place is given back
            assert (await watch(api, job["id"]))[-1][0] == "end"


def stream_of(api: Api, job: dict[str, Any], key: str) -> JobStream:
    return JobStream(
        pool=api.app.state.services.pool,
        caller_id=caller_id_of(key, PEPPER),
        job_id=parse_public_id(Prefix.JOB, job["id"]),
        identify_again=partial(api.app.state.services.gate.identify, key, peer="127.0.0.1"),
    )


async def stays() -> Any:
    """A caller who does not go away."""
    await asyncio.Event().wait()


def cancel_leased(pipeline: PipelineDatabase, batch: Batch) -> None:
    with pipeline.transaction() as connection:
        items.end_cancelled(connection, batch_id=batch.batch_id)


async def test_a_strange_id_and_anothers_job_are_refused(api: Api) -> None:
    job = await submit(api)
    path = f"/v1/jobs/{job['id']}/events"
    for bad in ("x", "1.2.3", "-1", "9999999999", "1."):
        answer = await api.get(path, headers={"Last-Event-ID": bad})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/last-event-id"), bad
    missing = await api.get(f"/v1/jobs/job_{'0' * 32}/events", key=BOB)
    anothers = await api.get(path, key=BOB)
    assert (anothers.status_code, missing.status_code) == (404, 404)
    assert anothers.json()["error_code"] == missing.json()["error_code"] == "cixml_job_watch_001"


async def test_the_names_without_a_version_are_the_same_routes(api: Api) -> None:
    answer = await api.post("/jobs", {"corpus": "docs", "urls": ["https://docs.example.com/a"]})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    own = await api.get(f"/jobs/{job['id']}")
    assert own.json() == (await api.get(f"/v1/jobs/{job['id']}")).json()
    assert own.headers["etag"] == 'W/"1"'
    for path in ("/jobs", "/jobs/"):
        assert [each["id"] for each in (await api.get(path)).json()["content"]] == [job["id"]]
    assert (await api.get(f"/jobs/{job['id']}", key=BOB)).json()["error_code"] == "cixml_job_read_001"
    assert (await api.post("/jobs", {})).json()["error_code"].startswith("cixml_job_create_1")
    assert (await api.client.get("/jobs/")).status_code == 401
