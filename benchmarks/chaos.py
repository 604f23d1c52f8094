"""`python -m benchmarks.chaos`: kill the product's processes under a load of jobs, with its default settings.

Prints one JSON object: each kill with its recovery, what was paid twice, and what was wrong at the end (nothing, else 1
is returned). What is done and what recovery means: tests/chaos.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import asdict

from benchmarks import machine
from tests.chaos import Chaos, Plan
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import WebServer
from tests.recovery import site_pages
from tests.stack import running_stack

PAGES = 30


def parse(arguments: list[str] | None = None) -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description="Kill the product's processes under a load of jobs. One JSON object on stdout.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1, help="of jobs, victims and pauses")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between kills, on average")
    given = parser.parse_args(arguments)
    return Plan(jobs=given.jobs, clients=given.clients, seed=given.seed, kill_every_seconds=given.every)


def main() -> int:
    """Return 0 when every invariant held."""
    plan = parse()
    with (
        EmbeddingServer() as server,
        WebServer(site_pages(PAGES)) as site,
        running_stack(server) as stack,
    ):
        report = Chaos(stack, server, site, plan).run()
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.chaos", *sys.argv[1:]]),
        "machine": machine.facts(),
        "load_average_at_end": [round(value, 2) for value in os.getloadavg()],
        **asdict(report),
    }
    print(json.dumps(result, indent=1))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
