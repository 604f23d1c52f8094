"""Who calls, over HTTP: the Membership service in front of the API, and the audit record behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from resources.membership import caller_id_of
from tests.api import ALICE, BOB, OPERATOR, Api, running_api
from tests.database import PEPPER, Database, PostgresServer, database, postgres_server  # noqa: F401  # fixtures
from tests.fakes.membership_server import MembershipServer

JOB = {"corpus": "docs", "urls": ["https://docs.example.com/a"]}


@pytest.fixture
def membership() -> Iterator[MembershipServer]:
    with MembershipServer() as found:
        found.keys[ALICE] = {"caller_type": "user", "tenant": "t1"}
        found.keys[OPERATOR] = {"caller_type": "service", "scopes": ["operator"]}
        yield found


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:  # noqa: F811
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


async def audit(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = await api.get(f"/v1/audit?{query}", key=OPERATOR)
    assert answer.status_code == 200, answer.text
    content: list[dict[str, Any]] = answer.json()["content"]
    return content


async def test_callers_come_from_the_service_and_an_outage_is_never_401(
    database: Database,  # noqa: F811
    tmp_path: Path,
    membership: MembershipServer,
) -> None:
    settings = database.settings(api={"keys_file": tmp_path / "keys.json"}, membership={"url": membership.url})
    async with running_api(settings) as api:
        assert (await api.post("/v1/jobs", JOB)).status_code == 202
        assert (await api.get("/v1/jobs", key=BOB)).status_code == 401  # in the file, not in the service
        assert (await api.get("/v1/audit", key=ALICE)).status_code == 403
        assert (await api.get("/v1/audit", key=OPERATOR)).status_code == 200
        health = (await api.client.get("/healthz")).json()
        assert (health["membership"]["kind"], health["membership"]["status"]) == ("service", "ok")
        membership.broken = (200, b"<html>")
        assert (await api.get("/v1/jobs")).status_code == 200
        unknown = await api.get("/v1/jobs", key="stranger")
        assert (unknown.status_code, unknown.json()["error_code"]) == (503, "cixml_job_list_503")
        assert int(unknown.headers["retry-after"]) >= 1
        health = (await api.client.get("/healthz")).json()
        assert (health["status"], health["membership"]["status"]) == ("degraded", "down")
        assert any("Membership is down" in warning for warning in health["warnings"])
    with psycopg.connect(database.pipeline_url) as pipeline:
        assert pipeline.execute("SELECT caller_id, caller_type FROM cixml.callers").fetchall() == [
            (caller_id_of(ALICE, PEPPER), "user")
        ]


async def test_the_key_file_is_shown_in_health(api: Api) -> None:
    assert (await api.client.get("/healthz")).json()["membership"]["kind"] == "key_file"
    api.keys_file.write_text("broken")
    assert (await api.get("/v1/jobs")).status_code == 503
    assert (await api.client.get("/healthz")).json()["membership"]["status"] == "down"


async def test_every_access_is_recorded_with_who_what_and_how_it_ended(api: Api) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"X-Request-Id": "my-request", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    made = await api.post("/v1/jobs", JOB, headers=headers)
    await api.get(f"/v1/jobs/{made.json()['id']}/items", key=BOB)
    await api.post("/v1/corpora/docs/search", {"query": "a very private question"})
    await api.get("/v1/jobs", key="wrong-key")
    await api.get(f"/v1/jobs/{ALICE}")
    await api.get("/v1/jobs/a%00b")
    await api.client.get("/livez")

    records = list(reversed(await audit(api)))
    alice, bob = caller_id_of(ALICE, PEPPER), caller_id_of(BOB, PEPPER)
    assert [(each["caller_id"], each["method"], each["route"], each["status"]) for each in records] == [
        (alice, "POST", "/v1/jobs", 202),
        (bob, "GET", "/v1/jobs/{job_id}/items", 404),
        (alice, "POST", "/v1/corpora/{name}/search", 200),
        (None, "GET", "/v1/jobs", 401),
        (alice, "GET", "/v1/jobs/{job_id}", 404),
        (alice, "GET", "/v1/jobs/{job_id}", 404),
    ]
    assert (records[0]["request_id"], records[0]["trace_id"]) == ("my-request", trace)
    assert records[0]["ids"] == {"made": made.json()["id"]}
    assert records[1]["ids"] == {"job_id": made.json()["id"]}
    assert records[2]["ids"] == {"name": "docs"}
    assert records[4]["ids"] == records[5]["ids"] == {}
    assert all(each["id"].startswith("aud_") and each["at"].endswith("Z") and each["peer"] for each in records)
    for secret in (ALICE, BOB, "wrong-key", "private question", "docs.example.com"):
        assert secret not in str(records)
    [own] = await audit(api, "route=/v1/audit")
    assert own["caller_id"] == caller_id_of(OPERATOR, PEPPER)


async def test_an_access_to_a_granted_corpus_is_recorded_with_its_address(api: Api) -> None:
    address = f"{caller_id_of(ALICE, PEPPER)}:docs"
    await api.get(f"/v1/corpora/{address}", key=BOB)
    [record] = await audit(api, "route=/v1/corpora/{name}")
    assert record["ids"] == {"name": address}


async def test_the_record_is_an_operators_alone(api: Api) -> None:
    refused = await api.get("/v1/audit")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "cixml_audit_list_204")
    assert (await api.client.get("/v1/audit")).status_code == 401


async def test_filters_and_cursors_of_the_record(api: Api) -> None:
    for number in range(5):
        await api.get("/v1/jobs", headers={"X-Request-Id": f"r{number}"})
        await api.get("/v1/corpora", key=BOB)
    alice = caller_id_of(ALICE, PEPPER)
    found, query = [], f"caller_id={alice}&limit=2"
    cursor = ""
    while cursor is not None:
        answer = (await api.get(f"/v1/audit?{query}{cursor and '&cursor=' + cursor}", key=OPERATOR)).json()
        assert answer["_metadata"]["total_records"] == 5
        found += answer["content"]
        cursor = answer["_metadata"]["next"]
    assert [each["request_id"] for each in found] == ["r4", "r3", "r2", "r1", "r0"]
    assert [each["request_id"] for each in await audit(api, "request_id=r3")] == ["r3"]
    assert len(await audit(api, "route=/v1/corpora&method=GET&status=200")) == 5
    assert await audit(api, "status=404") == []
    middle = found[2]["at"].replace("+", "%2B")
    assert [e["request_id"] for e in await audit(api, f"caller_id={alice}&created_after={middle}")] == ["r4", "r3"]
    assert [e["request_id"] for e in await audit(api, f"caller_id={alice}&created_before={middle}")] == ["r1", "r0"]
    for bad in ("status=1", "caller_id=%00", "cursor=x", "created_after=yesterday", "limit=0"):
        refused = await api.get(f"/v1/audit?{bad}", key=OPERATOR)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/" + bad.partition("=")[0])


async def test_records_wait_while_the_database_is_gone_and_are_written_at_shutdown(
    postgres_server: PostgresServer,  # noqa: F811
    database: Database,  # noqa: F811
    tmp_path: Path,
) -> None:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as api:
        assert (await api.get("/v1/jobs")).status_code == 200
        postgres_server.stop()
        try:
            assert (await api.get("/v1/jobs")).status_code == 503
            assert (await api.get("/v1/audit", key=OPERATOR)).status_code == 503
        finally:
            postgres_server.start()
    with psycopg.connect(database.pipeline_url) as pipeline:
        found = pipeline.execute("SELECT status FROM cixml.audit ORDER BY id").fetchall()
    assert found == [(200,), (503,), (503,)]
