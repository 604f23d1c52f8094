"""`python -m benchmarks.hosts`: docker-compose.yml without an engine, two worker hosts on one job, one of them cut off.

Prints one JSON object; 1 is returned when anything was lost, doubled or half visible. Linux, root.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import httpx

from benchmarks import machine
from benchmarks.hosts.installation import OPERATOR, Installation, running
from benchmarks.hosts.namespaces import WORLD
from cixml.embedded.state import Home
from tests.books import UNDER_WAY, Books
from tests.fakes.web_server import WebServer
from tests.json_client import ENDED
from tests.recovery import site_pages
from tests.stack import Stack, poll

CORPUS = "shared"
CONNECTIONS = "SELECT host(client_addr), count(*) FROM pg_stat_activity WHERE client_addr IS NOT NULL GROUP BY 1"


class Site(WebServer):
    """Knows from which address it was asked."""

    def __init__(self, pages: int) -> None:
        super().__init__(site_pages(pages), host=f"{WORLD}.1")
        self.peers: Counter[str] = Counter()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers[writer.get_extra_info("peername")[0]] += 1
        await super()._serve(reader, writer)


def scenario(site: Site, hosts: Installation, pages: int) -> dict[str, Any]:
    """Submit one job through the gateway, cut off a worker's host in the middle, count at the end."""
    key = hosts.console("keys", "create", "--name", "me").split()[-1]
    books = Books(Stack(home=Home(hosts.folder), values=_logins(hosts), given={}))
    with httpx.Client(base_url=hosts.gateway, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        for page in site.pages.values():
            page.options.delay_seconds = 0.3
        began = time.monotonic()
        body = {"corpus": CORPUS, "urls": [f"{site.url}/{number}" for number in range(pages)]}
        answer = client.post("/v1/jobs", json=body)
        assert answer.status_code == 202, answer.text
        path = f"/v1/jobs/{answer.json()['id']}"

        def job() -> dict[str, Any]:
            found: dict[str, Any] = client.get(path).json()
            return found

        poll(lambda: len(site.peers) == 2 and job()["items"]["indexed"] > pages // 10, "both", timeout_seconds=400)
        before, at_work = dict(site.peers), job()["items"]
        names = {host.address: name for name, host in hosts.hosts.items()}
        connections = {names.get(address, address): count for address, count in books.ask(CONNECTIONS)}
        killed = hosts.hosts["worker-2"].kill()
        killed_at = time.monotonic()
        done = poll(lambda: found if (found := job())["status"] in ENDED else None, "its end", timeout_seconds=400)
        ended = time.monotonic()
        poll(lambda: not books.ask(UNDER_WAY) and not books.open_runs(), "the end of the runs", timeout_seconds=90)
        search = client.post(f"/v1/corpora/{CORPUS}/search", json={"query": "fox and otter", "top_k": 3})
        result = {
            "job": {"status": done["status"], "items": done["items"], "seconds": round(ended - began, 1)},
            "connections_before_the_cut": before,
            "items_at_the_cut": at_work,
            "postgres_connections_at_the_cut": connections,
            "processes_killed": killed,
            "seconds_from_the_cut_to_the_end": round(ended - killed_at, 1),
            "most_attempts": books.one("SELECT max(attempts) FROM cixml.job_items"),
            "documents": len({url for url, _, _ in books.chunks(CORPUS)}),
            "wrong": books.wrong(),
            "search": [search.status_code, len(search.json()["results"])],
            "peer_in_the_audit_record": books.ask("SELECT DISTINCT peer FROM cixml.audit"),
            "ui_without_password": httpx.get(hosts.operators).status_code,
            "ui_with_password": httpx.get(f"{hosts.operators}/server_info", auth=OPERATOR).status_code,
            "doctor": hosts.console("doctor").splitlines(),
        }
    stopped_at = time.monotonic()
    worker = hosts.processes["worker-1"]
    worker.terminate()
    result["worker_1_after_sigterm"] = [worker.wait(timeout=45), round(time.monotonic() - stopped_at, 1)]
    books.close()
    return result


def _logins(hosts: Installation) -> dict[str, str]:
    address = hosts.hosts["postgres"].address
    owner = hosts.environment("migrate")["DATABASE_URL"].replace("@postgres:", f"@{address}:")
    dagster = hosts.environment("worker-1")["CIXML_DAGSTER__DATABASE_URL"].replace("@postgres:", f"@{address}:")
    return {"DATABASE_URL": owner, "CIXML_DAGSTER__DATABASE_URL": dagster}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hosts", description=__doc__)
    parser.add_argument("--pages", type=int, default=300)
    pages = parser.parse_args().pages
    began = time.monotonic()
    with running() as hosts:
        healthy = round(time.monotonic() - began, 1)
        with Site(pages) as site:
            result = scenario(site, hosts, pages)
    print(json.dumps({"machine": machine.facts(), "healthy_after_seconds": healthy, **result}, indent=1, default=str))
    whole = result["documents"] == pages and result["job"]["status"] == "succeeded" and not result["wrong"]
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
