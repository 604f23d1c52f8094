"""Many pages submitted at once: how fast, at what cost, and the same again."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from benchmarks.counters import Counters
from benchmarks.errors import BenchmarkError
from benchmarks.pages import Page
from benchmarks.processes import MemoryPeaks
from benchmarks.servers import Gpu, Server, Site
from benchmarks.system import Json, Outcome, System

POLL_SECONDS = 0.05
CORPUS = "bulk"


def measure(
    system: System, site: Site, gpu: Server, rates: Gpu, pages: Sequence[Page], peaks: MemoryPeaks, timeout: float
) -> tuple[Json, Outcome]:
    """Index the pages by one submission, then wait for the corpus's own index. Memory is sampled until then."""
    before = Counters.read(system, site, gpu)
    with peaks.sampling():
        outcome = _run(system, site, pages, timeout)
        used = Counters.read(system, site, gpu).since(before)
        begun = time.perf_counter()
        kind = system.settle(outcome, timeout_seconds=timeout)
        settled = time.perf_counter() - begun
    with_index = Counters.read(system, site, gpu).since(before)
    wall = outcome.searchable_seconds
    return {
        "pages": len(pages),
        "wall_s": round(wall, 2),
        "pages_a_s": round(len(pages) / wall, 2),
        "status": outcome.status,
        "failed": outcome.failed,
        **system.job_facts(outcome),
        "embedding_server": {
            **{name: int(used.gpu[name]) for name in ("texts", "requests", "failed", "tokens")},
            "busy_share": round(used.gpu["tokens"] / rates.tokens_per_second / wall, 3),
        },
        "site": used.site_report(),
        "cpu": used.cpu_report(per=len(pages)),
        "index": {"kind": kind, "settled_after_s": round(settled, 2)},
        "cpu_with_index": with_index.cpu_report(per=len(pages)),
    }, outcome


def measure_again(
    system: System, site: Site, gpu: Server, pages: Sequence[Page], first: Outcome, timeout: float
) -> Json:
    """Submit the same pages again: nothing has changed."""
    before = Counters.read(system, site, gpu)
    outcome = _run(system, site, pages, timeout)
    used = Counters.read(system, site, gpu).since(before)
    answers = used.site_report()
    return {
        "wall_s": round(outcome.searchable_seconds, 2),
        "ratio_to_first": round(outcome.searchable_seconds / first.searchable_seconds, 3),
        "times_faster": round(first.searchable_seconds / outcome.searchable_seconds, 1),
        **system.job_facts(outcome),
        "site": answers,
        "share_304": round(answers["304"] / answers["fetches"], 4) if answers["fetches"] else None,
        "texts_at_embedding_server": int(used.gpu["texts"]),
        "cpu": used.cpu_report(per=len(pages)),
    }


def _run(system: System, site: Site, pages: Sequence[Page], timeout: float) -> Outcome:
    print(f"{system.name}, bulk: {len(pages)} pages at once", file=sys.stderr)
    urls = [site.url_of(page.path) for page in pages]
    outcome = system.run_job(CORPUS, urls, poll_seconds=POLL_SECONDS, timeout_seconds=timeout)
    print(f"{system.name}, bulk: {outcome.status} in {outcome.searchable_seconds:.2f} s", file=sys.stderr)
    if outcome.status not in ("succeeded", "partial"):
        raise BenchmarkError(f"the job ended {outcome.status}: {outcome.failed}")
    return outcome
