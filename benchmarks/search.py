"""Searches of one corpus by several clients at once, over HTTP, each with a query to embed."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from uuid import uuid4

from benchmarks.bulk import CORPUS
from benchmarks.counters import Counters
from benchmarks.errors import BenchmarkError
from benchmarks.percentiles import spread
from benchmarks.servers import Server, Site
from benchmarks.system import Json, System

CLIENTS = 8
TOP_K = 10


def measure(system: System, site: Site, gpu: Server, searches: int, *, corpus: str = CORPUS) -> Json:
    """Search with new words each time; one round of all clients goes before and does not count."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(_one, repeat(system, CLIENTS), repeat(corpus)))
        before = Counters.read(system, site, gpu)
        begun = time.perf_counter()
        found = list(clients.map(_one, repeat(system, searches), repeat(corpus)))
        wall = time.perf_counter() - begun
    used = Counters.read(system, site, gpu).since(before)
    print(f"{system.name}, search: {searches} in {wall:.2f} s", file=sys.stderr)
    return {
        "clients": CLIENTS,
        "searches": searches,
        "top_k": TOP_K,
        "fewest_results": min(results for _, results in found),
        "searches_a_s": round(searches / wall, 1),
        "ms": spread([seconds for seconds, _ in found], 99),
        "cpu": used.cpu_report(per=searches),
    }


def _one(system: System, corpus: str) -> tuple[float, int]:
    """Return seconds and results. Raises BenchmarkError without any."""
    begun = time.perf_counter()
    results = system.search(corpus, f"how is this done, {uuid4()}", top_k=TOP_K)
    seconds = time.perf_counter() - begun
    if not results:
        raise BenchmarkError(f"{system.name}: a search of {corpus} found nothing")
    return seconds, results
