"""`python -m benchmarks`: start the product on an embedded stack, measure it, print one JSON object, stop it all."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import machine
from benchmarks.errors import NOT_MEASURED
from benchmarks.measurement import FIGURES, Options, measure_all
from benchmarks.pages import MOST_HOSTS
from benchmarks.servers import Gpu
from cixml.sample.server import PAGES


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the product against a mock GPU server. One JSON object on stdout, progress on stderr.",
        epilog="Real pages: unpack a documentation package (say Debian's postgresql-doc-15) and name its html folder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--pages", type=Path, default=PAGES, metavar="DIR", help="folder of real HTML pages; default: the sample")
    add("--only", type=_figures, default=FIGURES, metavar="NAMES", help=f"comma separated, of {','.join(FIGURES)}")
    add("--runs", type=_positive, default=20, help="one-page jobs that count, after --warm-ups that do not")
    add("--warm-ups", type=_positive, default=3, help="one-page jobs before those that count")
    add("--yardstick", action="store_true", help="measure the plain Celery pipeline too, and print ratios")
    add("--bulk", type=_positive, default=300, help="pages in the bulk job, at most 1000")
    add("--searches", type=_positive, default=400, help="searches of the bulk corpus by 8 clients")
    add("--tiny-jobs", type=_positive, default=1000, help="jobs of one tiny page each")
    add("--slow-pages", type=_positive, default=2000, help="pages that answer after a second, of one caller")
    add("--hosts", type=_hosts, default=20, help="loopback addresses that the pages are spread over, at most 200")
    add("--tokens-per-second", type=float, default=80_000.0, help="speed of the mock GPU")
    add("--latency-ms", type=float, default=8.0, help="added to each request at the mock GPU")
    add("--host-concurrency", type=_positive, default=None, help="requests at once to one host; default: the product's")
    add("--timeout", type=float, default=900.0, help="seconds that the bulk job may take")
    add("--seed", type=int, default=1, help="of the gaps between one-page jobs")
    add("--keep", action="store_true", help="leave the stack and both servers running")
    given = parser.parse_args(arguments)
    if not given.pages.is_dir():
        parser.error(f"--pages {given.pages} is no folder")
    return Options(
        pages=given.pages.resolve(),
        only=given.only,
        runs=given.runs,
        warm_ups=given.warm_ups,
        yardstick=given.yardstick,
        bulk=min(given.bulk, 1000),
        searches=given.searches,
        tiny_jobs=given.tiny_jobs,
        slow_pages=given.slow_pages,
        hosts=given.hosts,
        gpu=Gpu(tokens_per_second=given.tokens_per_second, latency_ms=given.latency_ms),
        host_concurrency=given.host_concurrency,
        timeout_seconds=given.timeout,
        seed=given.seed,
        keep=given.keep,
    )


def _figures(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := sorted(set(names) - set(FIGURES)):
        raise argparse.ArgumentTypeError(f"no such figure: {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def _hosts(text: str) -> int:
    number = _positive(text)
    if number > MOST_HOSTS:
        raise argparse.ArgumentTypeError(f"{text} is above {MOST_HOSTS}")
    return number


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Return 0 when every figure was measured, 1 when one was not, 130 when interrupted."""
    options = parse()
    signal.signal(signal.SIGTERM, _interrupt)
    result: dict[str, Any] = {
        "command": machine.command_line(),
        "machine": machine.facts(),
        "problems": [],
    }
    try:
        measure_all(options, result)
    except NOT_MEASURED as error:
        result["problems"].append(str(error))
    except KeyboardInterrupt:
        result["problems"].append("interrupted")
        print("interrupted: everything is stopped", file=sys.stderr)
        return 130
    result["machine"]["load_average_at_end"] = [round(value, 2) for value in os.getloadavg()]
    print(json.dumps(result, indent=1))
    for problem in result["problems"]:
        print(f"not measured: {problem}", file=sys.stderr)
    return 1 if result["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
