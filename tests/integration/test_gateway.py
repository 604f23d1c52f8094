"""The gateway's real binary with the committed files, in front of a real API."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from resources.settings import PROJECT_ROOT
from tests.api import ALICE, BOB, Api, authorization, running_api, served
from tests.database import Database
from tests.fakes.valkey import free_port
from tests.gateway import Gateway, running_collector, running_gateway

CERTIFICATE = PROJECT_ROOT / "tests" / "data" / "tls" / "self_signed.pem"
MAX_BODY = 200_000
# htpasswd of operator with the password let-me-in
OPERATORS = "operator:$apr1$cixmlcix$41G0zfv09YF8pJ.c1yzRZ.\n"


@dataclass(frozen=True, kw_only=True)
class Site:
    """A gateway in front of an API. `client` goes to the gateway from an address of its own."""

    api: Api
    api_url: str
    gateway: Gateway
    client: httpx.AsyncClient

    async def get(self, path: str, *, key: str = ALICE, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=authorization(key) | headers)


@asynccontextmanager
async def site(
    database: Database, folder: Path, *, others: str = "", collector: str = "http://127.0.0.1:1", **variables: str
) -> AsyncIterator[Site]:
    settings = database.settings(api={"keys_file": folder / "keys.json", "max_body_bytes": MAX_BODY})
    async with running_api(settings) as api, served(api, trusted_proxies=["127.0.0.1"]) as url:
        variables = {
            "GATEWAY_API_URLS": f"{url}{others}",
            "CIXML_API__MAX_BODY_BYTES": str(MAX_BODY),
        } | variables
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.77", verify=False)
        with running_gateway(folder, collector=collector, **variables) as gateway:
            async with httpx.AsyncClient(base_url=gateway.url, transport=transport, timeout=30) as client:
                yield Site(api=api, api_url=url, gateway=gateway, client=client)


async def submit(site: Site, *paths: str) -> dict[str, Any]:
    body = {"corpus": "docs", "urls": [f"https://docs.example.com/{path}" for path in paths]}
    answer = await site.client.post("/v1/jobs", json=body, headers=authorization(ALICE))
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def test_callers_reach_the_api_alone_and_each_request_is_found_in_trace_log_and_metrics(
    database: Database, tmp_path: Path
) -> None:
    with running_collector() as collector:
        gone = f", http://127.0.0.1:{free_port()}"
        async with site(database, tmp_path, others=gone, collector=collector.url, GATEWAY_TRACING="true") as found:
            answers = [await found.get("/v1/jobs?corpus=secret") for _ in range(20)]
            assert {answer.status_code for answer in answers} == {200}  # an API process that is gone is not seen
            assert len({answer.headers["x-request-id"] for answer in answers}) == 20
            own = await found.get("/v1/quota", **{"X-Request-Id": "mine-1", "X-API-Key": BOB})
            assert own.headers["x-request-id"] == "mine-1"
            for path in ("/docs", "/openapi.json", "/livez", "/readyz", "/healthz"):
                assert (await found.client.get(path)).status_code == 200, path
            for path in ("/", "/metrics", "/graphql", "/dashboard/", "/api/rawdata", "/v1", "/v1/../metrics"):
                assert (await found.client.get(path)).status_code == 404, path
            assert (await found.client.get("/v1/corpora/a%2f..%2fb")).status_code == 400
            metrics = httpx.get(found.gateway.metrics_url).text
            assert (
                'traefik_router_requests_total{code="200",method="GET",protocol="http",router="api-bearer-reads@file"'
                in metrics
            )
            found.gateway.stop()
            lines = {line.get("TraceId"): line for line in found.gateway.accesses()}
    trace_id = own.headers["traceparent"].split("-")[1]
    line = lines[trace_id]
    assert (line["RequestPath"], line["DownstreamStatus"], line["ClientHost"]) == ("/v1/quota", 200, "127.0.0.77")
    assert (line["request_X-Request-Id"], line["request_Authorization"], line["request_X-Api-Key"]) == (
        "mine-1",
        "REDACTED",
        "REDACTED",
    )
    log = found.gateway.log_file.read_text()
    assert ALICE not in log
    assert BOB not in log
    assert "secret" not in log
    assert any(bytes.fromhex(trace_id) in _unpacked(body) for body in collector.bodies)


def _unpacked(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


async def test_each_key_has_its_own_rate_and_its_own_requests_in_flight(database: Database, tmp_path: Path) -> None:
    limits = {"GATEWAY_RATE": "1", "GATEWAY_BURST": "10", "GATEWAY_IN_FLIGHT": "3"}
    async with site(database, tmp_path, **limits) as found:
        job = await submit(found, "a")
        waiting = {"Prefer": "wait=2", "If-None-Match": (await found.get(f"/v1/jobs/{job['id']}")).headers["etag"]}
        stream = asyncio.create_task(_first_event(found, job["id"]))
        polls = await asyncio.gather(*(found.get(f"/v1/jobs/{job['id']}", **waiting) for _ in range(5)))
        assert Counter(answer.status_code for answer in polls) == {304: 3, 429: 2}
        assert await stream == "event: job"  # an open stream is none of the three
        began = time.monotonic()
        answers = [await found.get("/v1/quota", key=BOB) for _ in range(40)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 10 <= 40 - len(refused) <= 10 + (time.monotonic() - began) + 1
        assert int(refused[0].headers["retry-after"]) >= 1
        header = {"X-API-Key": BOB}  # the same key in the other header: a limit of its own, for the API counts exactly
        assert (await found.client.get("/v1/quota", headers=header)).status_code == 200
        assert (await found.client.get("/livez")).status_code == 200


async def _first_event(found: Site, job_id: str) -> str:
    """Return the first line of a stream that goes on: it comes before the stream's end."""
    path = f"/v1/jobs/{job_id}/events"
    async with found.client.stream("GET", path, headers=authorization(ALICE)) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async with asyncio.timeout(10):
            return await anext(answer.aiter_lines())


async def test_bodies_pass_up_to_the_apis_own_limit_and_no_flood_gets_that_far(
    database: Database, tmp_path: Path
) -> None:
    async with site(database, tmp_path) as found:
        await found.api.post("/v1/corpora", {"name": "docs"})

        async def push(size: int) -> httpx.Response:
            files = {"file": ("a.txt", b"word " * (size // 5), "text/plain")}
            return await found.client.post("/v1/corpora/docs/files", files=files, headers=authorization(ALICE))

        assert (await push(MAX_BODY - 1000)).status_code == 202
        told = await push(MAX_BODY + 1000)
        assert (told.status_code, told.json()["error_code"]) == (413, "cixml_request_read_301")
        flood = await push(MAX_BODY + 2 * 2**20)
        assert flood.status_code == 413
        assert "x-request-id" not in flood.headers  # the gateway's own answer


async def test_an_address_is_believed_from_the_gateway_alone(
    database: Database, tmp_path: Path, owner: psycopg.Connection[Any]
) -> None:
    lies = {"X-Forwarded-For": "203.0.113.9", "X-Real-Ip": "203.0.113.9", "X_Forwarded_For": "203.0.113.9"}
    async with site(database, tmp_path) as found:
        assert (await found.get("/v1/quota", **lies)).status_code == 200
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.78")
        async with httpx.AsyncClient(base_url=found.api_url, transport=transport) as direct:
            assert (await direct.get("/v1/quota", headers=authorization(BOB) | lies)).status_code == 200
    peers = {row[0] for row in owner.execute("SELECT peer FROM cixml.audit").fetchall()}
    assert peers == {"127.0.0.77", "127.0.0.78"}


async def test_the_dagster_ui_takes_an_operators_password_and_no_request_of_another_site(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "operators"
    file.write_text(OPERATORS)
    ui = await _echo()
    url = f"http://127.0.0.1:{ui.sockets[0].getsockname()[1]}"
    async with (
        ui,
        site(
            database, tmp_path, GATEWAY_OPERATORS_FILE=str(file), GATEWAY_DAGSTER_URL=url, GATEWAY_GRAFANA_URL=url
        ) as found,
        httpx.AsyncClient(base_url=found.gateway.operators_url) as operator,
    ):
        assert (await operator.get("/runs")).status_code == 401
        assert (await operator.get("/runs", auth=("operator", "guess"))).status_code == 401
        operator.auth = httpx.BasicAuth("operator", "let-me-in")
        assert (await operator.get("/grafana/", auth=("operator", "guess"))).status_code == 401
        assert (await operator.get("/grafana/")).status_code == 200
        seen = await operator.get("/runs")
        assert seen.status_code == 200
        assert "authorization" not in seen.text.lower()  # the password ends at the gateway
        for origin, status in (("same-origin", 200), ("same-site", 404), ("cross-site", 404)):
            for path in ("/graphql", "/report_asset_materialization/raw_pages"):
                answer = await operator.post(path, headers={"Sec-Fetch-Site": origin})
                assert answer.status_code == status, (path, origin)
        assert (await operator.get("/runs", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200  # a link


async def _echo() -> asyncio.Server:
    """Answer every request with its own head."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_with_a_certificate_it_speaks_tls_alone_and_without_operators_nobody_sees_the_dagster_ui(
    database: Database, tmp_path: Path
) -> None:
    tls = {"GATEWAY_TLS_CERTIFICATE": str(CERTIFICATE), "GATEWAY_TLS_KEY": str(CERTIFICATE)}
    async with site(database, tmp_path, GATEWAY_DAGSTER_URL="http://127.0.0.1:1", **tls) as found:
        assert found.gateway.url.startswith("https://")
        assert (await found.get("/v1/quota")).status_code == 200
        async with httpx.AsyncClient(base_url=found.gateway.url.replace("https", "http")) as plain:
            assert (await plain.get("/livez")).status_code == 404
        async with httpx.AsyncClient(base_url=found.gateway.operators_url, verify=False) as operator:
            assert (await operator.get("/")).status_code == 404
