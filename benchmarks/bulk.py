"""Many pages in one job: how fast, at what cost, and the same job again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.counters import Counters
from benchmarks.errors import BenchmarkError
from benchmarks.pages import Page
from benchmarks.processes import MemoryPeaks
from benchmarks.product import Outcome, Product
from benchmarks.servers import Gpu, Server

POLL_SECONDS = 0.05
_CORPUS = "bulk"
Json = dict[str, Any]


def measure(
    product: Product, site: Server, gpu: Server, rates: Gpu, pages: Sequence[Page], peaks: MemoryPeaks, timeout: float
) -> tuple[Json, Outcome]:
    """Index the pages by one job. Memory is sampled meanwhile."""
    before = Counters.read(product, site, gpu)
    with peaks.sampling():
        outcome = _run(product, site, pages, timeout)
    after = Counters.read(product, site, gpu)
    wall, usage = outcome.searchable_seconds, outcome.job["usage"]
    tokens = after.gpu_since(before, "tokens")
    return {
        "pages": len(pages),
        "wall_s": round(wall, 2),
        "pages_a_s": round(len(pages) / wall, 2),
        "status": outcome.job["status"],
        "failed": product.rows.failures(outcome.job["id"]),
        "chunks": usage["chunks"],
        "embedding_tokens": usage["embedding_tokens"],
        "cached_tokens": usage["cached_tokens"],
        "runs": product.rows.batches(outcome.job["id"]),
        "embedding_server": {
            "texts": after.gpu_since(before, "texts"),
            "requests": after.gpu_since(before, "requests"),
            "failed": after.gpu_since(before, "failed"),
            "tokens": tokens,
            "in_flight_max": after.gpu["in_flight_max"],
            "busy_share": round(tokens / rates.tokens_per_second / wall, 3),
        },
        "site": after.site_since(before),
        "cpu": after.cpu_since(before, per=len(pages)),
    }, outcome


def measure_again(
    product: Product, site: Server, gpu: Server, pages: Sequence[Page], first: Outcome, timeout: float
) -> Json:
    """Submit the same job again: nothing has changed."""
    before = Counters.read(product, site, gpu)
    outcome = _run(product, site, pages, timeout)
    after = Counters.read(product, site, gpu)
    answers = after.site_since(before)
    return {
        "wall_s": round(outcome.searchable_seconds, 2),
        "ratio_to_first": round(outcome.searchable_seconds / first.searchable_seconds, 3),
        "times_faster": round(first.searchable_seconds / outcome.searchable_seconds, 1),
        "items": {state: number for state, number in outcome.job["items"].items() if number},
        "runs": product.rows.batches(outcome.job["id"]),
        "site": answers,
        "share_304": round(answers["304"] / answers["fetches"], 4) if answers["fetches"] else None,
        "texts_at_embedding_server": after.gpu_since(before, "texts"),
        "cpu": after.cpu_since(before, per=len(pages)),
    }


def _run(product: Product, site: Server, pages: Sequence[Page], timeout: float) -> Outcome:
    print(f"bulk: {len(pages)} pages in one job", file=sys.stderr)
    urls = [site.url + page.path for page in pages]
    outcome = product.run_job(_CORPUS, urls, poll_seconds=POLL_SECONDS, timeout_seconds=timeout)
    print(f"bulk: {outcome.job['status']} in {outcome.searchable_seconds:.2f} s", file=sys.stderr)
    if outcome.job["status"] not in ("succeeded", "partial"):
        raise BenchmarkError(f"the job ended {outcome.job['status']}: {product.rows.failures(outcome.job['id'])}")
    return outcome
