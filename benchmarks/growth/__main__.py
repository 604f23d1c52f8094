"""`python -m benchmarks.growth`: fill one embedded stack step by step, measure at each step, print one JSON object."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, one_page
from benchmarks.growth import MODEL, MODELS_FILE, chunks, corpora, queue
from benchmarks.pages import select
from benchmarks.product import prepare, running
from benchmarks.servers import Gpu, embedding_server, page_server
from cixml.sample.server import PAGES
from resources.embedding.registry import load_registry

PARTS = ("corpora", "chunks", "queue")
_PAGES_PER_STEP = 15


def main() -> int:
    """Return 0 when everything was measured."""
    options = _parse()
    model = load_registry(MODELS_FILE).get(MODEL)
    beside = 2 * len(options.chunks)
    small = _PAGES_PER_STEP * (len(options.corpora) + 1)
    pages = select(options.pages, warm_up=4, small=small + beside, bulk=1)
    result: dict[str, Any] = {"command": machine.command_line(), "machine": machine.facts()}
    with (
        page_server(options.pages, 20, keep=False) as site,
        embedding_server(model, Gpu(tokens_per_second=80_000.0, latency_ms=8.0), keep=False) as gpu,
    ):
        home = prepare(site, gpu, host_concurrency=None)
        os.environ |= {"CIXML_EMBEDDING__MODELS_FILE": str(MODELS_FILE), "EMBEDDING_MODEL": MODEL}
        with running(home, keep=False) as product:
            one_page.warm_up(product, site, pages.warm_up)
            if "corpora" in options.only:
                result["corpora"] = corpora.measure(product, site, gpu, pages.small[:small], options.corpora)
            if "chunks" in options.only:
                result["chunks"] = chunks.measure(product, site, gpu, pages.small[small:], options.chunks)
            if "queue" in options.only:
                result["queue"] = queue.measure(product, options.items)
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description="Measure the product as it fills up. One JSON object on stdout, progress on stderr.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add: Callable[..., Any] = parser.add_argument
    add("--pages", type=Path, default=PAGES, metavar="DIR", help="folder of real HTML pages; default: the sample")
    add("--corpora", type=_numbers, default="2000,10000", help="numbers of corpora at which a page is timed")
    add("--chunks", type=_numbers, default="10000,100000,500000", help="chunks of the corpora that are searched")
    add("--items", type=_numbers, default="10000,100000,1000000", help="numbers of queued items; multiples of 1,000")
    add("--only", type=lambda text: text.split(","), default=",".join(PARTS), help="comma separated: which parts")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return sorted({int(part.replace("_", "")) for part in text.split(",") if part.strip()})


if __name__ == "__main__":
    sys.exit(main())
