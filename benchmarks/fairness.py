"""One caller's many slow pages, and beside them another caller's jobs of one page on a host that answers at once."""

from __future__ import annotations

import sys
import time
from itertools import count

from benchmarks.errors import BenchmarkError
from benchmarks.percentiles import spread
from benchmarks.product import Product
from benchmarks.servers import Site
from benchmarks.synthetic import SLOW_SECONDS, Kind, path_of
from benchmarks.system import Json, wait_until
from cixml.client import Client

_URLS_A_JOB = 1000  # the API's limit
_EVERY_SECONDS = 2.0
_POLL_SECONDS = 0.01
_ALONE = 3
_FIRST_PAGE = 2_000_000  # pages that no other figure uses


def measure(product: Product, site: Site, pages: int, timeout: float) -> Json:
    """Submit the slow pages, then a quick job every few seconds until the slow ones have ended."""
    numbers = count(_FIRST_PAGE)
    with product.another_caller("quick") as client:
        alone = [_quick(product, client, site, next(numbers), timeout) for _ in range(_ALONE)]
        urls = [site.url_of(path_of(Kind.SLOW, number)) for number in range(pages)]
        begun = time.perf_counter()
        slow = [product.submit("slow", urls[at : at + _URLS_A_JOB]) for at in range(0, pages, _URLS_A_JOB)]
        beside: list[float] = []
        while product.open_submissions(slow):
            if time.perf_counter() - begun > timeout:
                raise BenchmarkError(f"{pages} slow pages did not end in {timeout:.0f} s")
            next_at = time.perf_counter() + _EVERY_SECONDS
            beside.append(_quick(product, client, site, next(numbers), timeout))
            print(f"fairness: {beside[-1]:.3f} s", file=sys.stderr)
            time.sleep(max(0.0, next_at - time.perf_counter()))
        wall = time.perf_counter() - begun
    return {
        "slow_pages": pages,
        "answered_after_s": SLOW_SECONDS,
        "slow_jobs": len(slow),
        "slow_wall_s": round(wall, 1),
        "slow_failed": product.failures(slow),
        "quick_jobs": len(beside),
        "quick_every_s": _EVERY_SECONDS,
        "quick_alone_ms": spread(alone),
        "quick_beside_ms": spread(beside),
    }


def _quick(product: Product, client: Client, site: Site, number: int, timeout: float) -> float:
    """Return the seconds from the submission of one page to its commit."""
    begun = time.perf_counter()
    job = client.jobs.submit("quick", [site.quiet_url_of(path_of(Kind.TINY, number))]).id
    wait_until(
        lambda: not product.open_submissions([job]),
        "the job of one page did not end",
        poll_seconds=_POLL_SECONDS,
        timeout_seconds=timeout,
    )
    if failed := product.failures([job]):
        raise BenchmarkError(f"the job of one page failed: {failed}")
    return time.perf_counter() - begun
