"""From the submission of one small page to the commit that makes it searchable, and where that time goes.

Several systems take turns, some jobs each, so that all of them meet the same machine.
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from uuid import uuid4

from benchmarks.counters import Counters
from benchmarks.errors import BenchmarkError
from benchmarks.pages import Page
from benchmarks.percentiles import spread
from benchmarks.product import Product
from benchmarks.servers import Server, Site
from benchmarks.system import Json, Outcome, System, wait_until

POLL_SECONDS = 0.004
TIMEOUT_SECONDS = 120.0
_GAP_SECONDS = (0.5, 1.0)
_TURN_JOBS = 5
_LONGEST_RUN_END_SECONDS = 10.0
_CORPUS = "one-page"


def warm_up(system: System, site: Site, pages: Sequence[Page]) -> None:
    """Work on these pages all at once, each in a corpus of its own."""
    jobs = [system.submit(f"warm-up-{number}", [site.url_of(page.path)]) for number, page in enumerate(pages)]
    wait_until(
        lambda: not system.open_submissions(jobs),
        f"{system.name}: the warm-up did not end",
        poll_seconds=0.1,
        timeout_seconds=TIMEOUT_SECONDS,
    )


@dataclass(slots=True, kw_only=True)
class _Series:
    """The jobs of one system that count."""

    system: System
    outcomes: list[Outcome] = field(default_factory=list)
    used: Counters | None = None

    def add(self, outcomes: Sequence[Outcome], used: Counters) -> None:
        self.outcomes += outcomes
        self.used = used if self.used is None else self.used.plus(used)

    def report(self) -> Json:
        assert self.used
        return {
            "runs": len(self.outcomes),
            "submit_to_searchable_ms": spread([outcome.searchable_seconds for outcome in self.outcomes]),
            "post_ms": spread([outcome.posted_seconds for outcome in self.outcomes]),
            "post_to_answer_succeeded_ms": spread([outcome.answered_seconds for outcome in self.outcomes]),
            "embedding_requests": int(self.used.gpu["requests"]),
            "cpu_gaps_included": self.used.cpu_report(per=len(self.outcomes)),
        }


def measure(
    systems: Sequence[System], site: Site, gpu: Server, pages: Sequence[Page], *, warm_ups: int, seed: int
) -> dict[str, Json]:
    """Submit the pages one after another with random gaps, to each system; the first `warm_ups` don't count."""
    gaps = random.Random(seed)
    for system in systems:
        _turn(system, site, pages[:warm_ups], gaps)
    series = {system.name: _Series(system=system) for system in systems}
    for turn in _turns(pages[warm_ups:]):
        for system in systems:
            before = Counters.read(system, site, gpu)
            outcomes = _turn(system, site, turn, gaps)
            series[system.name].add(outcomes, Counters.read(system, site, gpu).since(before))
    return {name: _report(of_one) for name, of_one in series.items()}


def _turns(pages: Sequence[Page]) -> Iterator[Sequence[Page]]:
    for at in range(0, len(pages), _TURN_JOBS):
        yield pages[at : at + _TURN_JOBS]


def _turn(system: System, site: Site, pages: Sequence[Page], gaps: random.Random) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for page in pages:
        outcomes.append(_one(system, site.url_of(page.path)))
        print(f"{system.name}, one_page: {outcomes[-1].searchable_seconds:.3f} s", file=sys.stderr)
        time.sleep(gaps.uniform(*_GAP_SECONDS))
    return outcomes


def _one(system: System, url: str) -> Outcome:
    outcome = system.run_job(_CORPUS, [url], poll_seconds=POLL_SECONDS, timeout_seconds=TIMEOUT_SECONDS)
    if outcome.status != "succeeded":
        raise BenchmarkError(f"{system.name}: {url} ended {outcome.status}: {outcome.failed}")
    return outcome


def _report(series: _Series) -> Json:
    report = series.report() | {"search_ms": _search(series.system, series.outcomes)}
    if isinstance(product := series.system, Product):
        times = [product.rows.item_times(outcome.submission) for outcome in series.outcomes]
        report["breakdown_p50_ms"] = _breakdown(series.outcomes, times)
        report["run_events_p50_ms"] = _run_events(product, times)
    return report


def _breakdown(outcomes: Sequence[Outcome], times: Sequence[Json]) -> Json:
    """Return the parts of the way by the product's own rows. `finished_at` is when the last transaction began."""
    parts: dict[str, list[float]] = defaultdict(list)
    for outcome, row in zip(outcomes, times, strict=True):
        if not row:
            raise BenchmarkError(f"no batch is found for the job {outcome.submission}")
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
    def has_succeeded() -> bool:
        events = product.rows.run_events(run_id)
        return bool(events) and events[-1]["kind"] == "PIPELINE_SUCCESS"

    wait_until(
        has_succeeded,
        f"the run {run_id} does not say that it succeeded",
        poll_seconds=0.1,
        timeout_seconds=_LONGEST_RUN_END_SECONDS,
    )
    return product.rows.run_events(run_id)


def _search(system: System, outcomes: Sequence[Outcome]) -> Json:
    """Search the corpus once a job, each time with new words; a search without hits is an error."""
    seconds: list[float] = []
    for _ in outcomes:
        begun = time.perf_counter()
        hits = system.search(_CORPUS, f"how is this done, {uuid4()}", top_k=5)
        seconds.append(time.perf_counter() - begun)
        if not hits:
            raise BenchmarkError(f"{system.name}: a search of the indexed pages found nothing")
    return spread(seconds)
