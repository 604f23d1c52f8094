"""From the submission of one small page to the commit that makes it searchable, and where that time goes."""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.counters import Counters
from benchmarks.errors import BenchmarkError
from benchmarks.pages import Page
from benchmarks.product import Outcome, Product
from benchmarks.servers import Server

POLL_SECONDS = 0.004
TIMEOUT_SECONDS = 120.0
_GAP_SECONDS = (0.5, 1.0)
_LONGEST_RUN_END_SECONDS = 10.0
_CORPUS = "one-page"
Json = dict[str, Any]


def warm_up(product: Product, site: Server, pages: Sequence[Page]) -> None:
    """Work on one page in each of the worker's children, all at once, each in a corpus of its own."""
    jobs = [
        product.client.submit(f"warm-up-{number}", [site.url + page.path])["id"] for number, page in enumerate(pages)
    ]
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not all(product.rows.has_ended(job) for job in jobs):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"the warm-up did not end in {TIMEOUT_SECONDS:.0f} s")
        time.sleep(0.1)


def measure(product: Product, site: Server, gpu: Server, pages: Sequence[Page], *, warm_ups: int, seed: int) -> Json:
    """Submit the pages one after another with random gaps; the first `warm_ups` don't count."""
    gaps = random.Random(seed)
    outcomes: list[Outcome] = []
    before = Counters.read(product, site, gpu)
    for number, page in enumerate(pages):
        if number == warm_ups:
            before = Counters.read(product, site, gpu)
        outcomes.append(_one(product, site.url + page.path))
        time.sleep(gaps.uniform(*_GAP_SECONDS))
        print(f"one_page {number + 1}/{len(pages)}: {outcomes[-1].searchable_seconds:.3f} s", file=sys.stderr)
    counted = outcomes[warm_ups:]
    after = Counters.read(product, site, gpu)
    times = [product.rows.item_times(outcome.job["id"]) for outcome in counted]
    return {
        "runs": len(counted),
        "submit_to_searchable_ms": _spread([outcome.searchable_seconds for outcome in counted]),
        "post_ms": _spread([outcome.posted_seconds for outcome in counted]),
        "post_to_answer_succeeded_ms": _spread([outcome.answered_seconds for outcome in counted]),
        "breakdown_p50_ms": _breakdown(counted, times),
        "run_events_p50_ms": _run_events(product, times),
        "embedding_requests": after.gpu_since(before, "requests"),
        "cpu_gaps_included": after.cpu_since(before, per=len(counted)),
        "search_ms": _search(product, counted),
    }


def _one(product: Product, url: str) -> Outcome:
    outcome = product.run_job(_CORPUS, [url], poll_seconds=POLL_SECONDS, timeout_seconds=TIMEOUT_SECONDS)
    if outcome.job["status"] != "succeeded":
        raise BenchmarkError(f"{url} ended {outcome.job['status']}: {product.rows.failures(outcome.job['id'])}")
    return outcome


def _spread(seconds: Sequence[float]) -> Json:
    """Return percentiles in ms; p95 is the value that 95 % of the runs do not exceed."""
    ordered = sorted(seconds)
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    return {name: round(1000 * value, 1) for name, value in
            {"p50": median(ordered), "p95": p95, "min": ordered[0], "max": ordered[-1]}.items()}  # fmt: skip


def _breakdown(outcomes: Sequence[Outcome], times: Sequence[Json]) -> Json:
    """Return the parts of the way by the product's own rows. `finished_at` is when the last transaction began."""
    parts: dict[str, list[float]] = defaultdict(list)
    for outcome, row in zip(outcomes, times, strict=True):
        if not row:
            raise BenchmarkError(f"no batch is found for the job {outcome.job['id']}")
        in_rows = _ms(row["created_at"], row["finished_at"])
        parts["item_created_to_claimed"].append(_ms(row["created_at"], row["claimed_at"]))
        parts["claimed_to_run_begun"].append(_ms(row["claimed_at"], row["begun_at"]))
        parts["run_begun_to_fetched"].append(_ms(row["begun_at"], row["fetched_at"]))
        parts["fetched_to_last_transaction"].append(_ms(row["fetched_at"], row["finished_at"]))
        parts["item_created_to_last_transaction"].append(in_rows)
        parts["post_and_commit"].append(1000 * outcome.searchable_seconds - in_rows)
    return _medians(parts)


def _ms(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000


def _medians(parts: dict[str, list[float]]) -> Json:
    return {name: round(median(values), 1) for name, values in parts.items()}


def _run_events(product: Product, times: Iterable[Json]) -> Json:
    """Return the time between a run's events, the first since the claim: what Dagster adds shows between the steps."""
    parts: dict[str, list[float]] = defaultdict(list)
    for row in times:
        before = row["claimed_at"]
        for event in _ended_run(product, row["run_id"]):
            name = event["kind"].lower().replace("pipeline", "run") + (f" {event['step']}" if event["step"] else "")
            parts[name].append(_ms(before, event["at"]))
            before = event["at"]
    return _medians(parts)


def _ended_run(product: Product, run_id: str) -> Sequence[Json]:
    deadline = time.monotonic() + _LONGEST_RUN_END_SECONDS
    while not (events := product.rows.run_events(run_id)) or events[-1]["kind"] != "PIPELINE_SUCCESS":
        if time.monotonic() > deadline:
            raise BenchmarkError(f"the run {run_id} does not say that it succeeded")
        time.sleep(0.1)
    return events


def _search(product: Product, outcomes: Sequence[Outcome]) -> Json:
    """Search the corpus once a job, each time with new words; a search without hits is an error."""
    seconds: list[float] = []
    for _ in outcomes:
        begun = time.perf_counter()
        answer = product.client.search(_CORPUS, f"how is this done, {uuid4()}", top_k=5)
        seconds.append(time.perf_counter() - begun)
        if not answer["results"]:
            raise BenchmarkError("a search of the indexed pages found nothing")
    return _spread(seconds)
