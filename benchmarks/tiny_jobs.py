"""Many jobs of one tiny page each, from many clients at once: how many a minute."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.counters import Counters
from benchmarks.servers import Server, Site
from benchmarks.synthetic import Kind, path_of
from benchmarks.system import Json, System, wait_until

CLIENTS = 16
CORPORA = 10
_POLL_SECONDS = 0.1


def measure(system: System, site: Site, gpu: Server, jobs: int, timeout: float) -> Json:
    """Submit them and wait until all are searchable."""

    def submit(number: int) -> str:
        return system.submit(f"tiny-{number % CORPORA}", [site.url_of(path_of(Kind.TINY, number))])

    before = Counters.read(system, site, gpu)
    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        submissions = list(clients.map(submit, range(jobs)))
    posted = time.perf_counter() - begun
    wait_until(
        lambda: not system.open_submissions(submissions),
        f"{system.name}: {jobs} tiny jobs did not end",
        poll_seconds=_POLL_SECONDS,
        timeout_seconds=timeout,
    )
    wall = time.perf_counter() - begun
    used = Counters.read(system, site, gpu).since(before)
    print(f"{system.name}, tiny_jobs: {jobs} in {wall:.2f} s", file=sys.stderr)
    return {
        "jobs": jobs,
        "clients": CLIENTS,
        "corpora": CORPORA,
        "posted_s": round(posted, 2),
        "wall_s": round(wall, 2),
        "jobs_a_minute": round(60 * jobs / wall),
        "failed": system.failures(submissions),
        "embedding_requests": int(used.gpu["requests"]),
        "cpu": used.cpu_report(per=jobs),
    }
