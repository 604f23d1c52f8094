"""A corpus embedded again with another model by one request: how busy the GPU is from the first run to the flip."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from benchmarks.bulk import CORPUS
from benchmarks.counters import Counters
from benchmarks.errors import BenchmarkError
from benchmarks.percentiles import percentile, spread
from benchmarks.product import ANOTHER_MODEL, Product
from benchmarks.servers import Gpu, Server, Site
from benchmarks.system import Json, wait_until

POLL_SECONDS = 0.1
SEARCH_GAP_SECONDS = 0.2
IDLE_SEARCHES = 100


def measure(product: Product, site: Site, gpu: Server, rates: Gpu, *, timeout: float) -> Json:
    """Ask for an index of the bulk corpus by the other model, which is to serve at once, and wait until it does."""
    print("reembed", file=sys.stderr)
    idle = [_one(product, number) for number in range(IDLE_SEARCHES)]
    before = Counters.read(product, site, gpu)
    ended = Event()
    with ThreadPoolExecutor(1) as beside:
        searching = beside.submit(_search, product, ended)
        try:
            version = product.client.index_versions.create(CORPUS, model=ANOTHER_MODEL, activate="auto")
            wait_until(
                lambda: bool(product.rows.refill(version.id)),
                "the corpus was not embedded again",
                poll_seconds=POLL_SECONDS,
                timeout_seconds=timeout,
            )
        finally:
            ended.set()
    seconds = searching.result()
    used, times = Counters.read(product, site, gpu).since(before), product.rows.refill(version.id)
    wall = (times["served_at"] - times["begun_at"]).total_seconds()
    return {
        "request_to_first_run_s": round((times["begun_at"] - times["created_at"]).total_seconds(), 2),
        "wall_s": round(wall, 2),
        "runs": times["runs"],
        "embedding_server": {
            **{name: int(used.gpu[name]) for name in ("texts", "requests", "failed", "tokens")},
            "busy_share": round(used.gpu["tokens"] / rates.tokens_per_second / wall, 3),
        },
        "site": used.site_report(),
        "cpu": used.cpu_report(per=max(1, int(used.gpu["texts"]))),
        "searches_idle": {"searches": len(idle), "ms": spread(idle, 99)},
        "searches_meanwhile": {"searches": len(seconds), "ms": spread(seconds, 99)},
        "search_p99_ratio": round(percentile(seconds, 99) / percentile(idle, 99), 2),
    }


def _search(product: Product, ended: Event) -> list[float]:
    """Search the corpus some times a second until it `ended`; return the seconds. Raises what a search raises."""
    found: list[float] = []
    while not ended.wait(SEARCH_GAP_SECONDS):
        found.append(_one(product, len(found) + IDLE_SEARCHES))
    return found


def _one(product: Product, number: int) -> float:
    begun = time.perf_counter()
    if not product.search(CORPUS, f"which index is used {number}", top_k=10):
        raise BenchmarkError("a search of the corpus that is embedded again found nothing")
    return time.perf_counter() - begun
