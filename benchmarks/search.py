"""Searches of one corpus by several clients at once, over HTTP, each with a query to embed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from benchmarks.bulk import CORPUS
from benchmarks.counters import Counters
from benchmarks.errors import BenchmarkError
from benchmarks.percentiles import spread
from benchmarks.product import Product
from benchmarks.servers import Server, Site
from benchmarks.system import Json, System

Ask = Callable[[str], int]
CLIENTS = 8
ALONE = 100
"""Searches by one client, one after another: what 8 at once take longer is waiting for each other."""
TOP_K = 10


def measure(
    system: System, site: Site, gpu: Server, searches: int, *, corpus: str = CORPUS, ask: Ask | None = None
) -> Json:
    """Search with new words each time, first one client alone; a round of all clients goes before and does not count.

    `ask` returns how many results a query has; by default it is the system's search.
    """

    def one(_: int) -> tuple[float, int]:
        query = f"how is this done, {uuid4()}"
        begun = time.perf_counter()
        results = ask(query) if ask else system.search(corpus, query, top_k=TOP_K)
        seconds = time.perf_counter() - begun
        if not results:
            raise BenchmarkError(f"{system.name}: a search of {corpus} found nothing")
        return seconds, results

    alone = [one(number)[0] for number in range(CLIENTS + ALONE)][CLIENTS:]
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(one, range(CLIENTS)))
        before = Counters.read(system, site, gpu)
        begun = time.perf_counter()
        found = list(clients.map(one, range(searches)))
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
        "alone_ms": spread(alone, 99),
        "cpu": used.cpu_report(per=searches),
    }


def measure_mode(product: Product, site: Site, gpu: Server, searches: int, mode: str) -> Json:
    """Search the bulk corpus by words, or by vectors and words, which only the product does."""

    def ask(query: str) -> int:
        return product.search(CORPUS, query, top_k=TOP_K, mode=mode)

    return measure(product, site, gpu, searches, ask=ask)
