"""Every metric of the product, and the text that GET /metrics answers.

Several processes share one answer: the API reads what its Celery children counted. prometheus_client does this with
files in a folder, and decides on it **when it is imported**, by the environment variable PROMETHEUS_MULTIPROC_DIR.
So whoever starts the processes sets that variable, to the same empty folder for all of them, before Python starts;
setting it later has no effect. Without it each process counts for itself (tests, a single process).
The folder must be emptied when the stack starts: the files of processes that are gone still count.

No caller, URL or corpus is a label: those are unbounded and live in spans and in the usage ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from resources.telemetry import attributes as names

_FAST_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.35, 0.6, 1.0, 2.5, 5.0, 10.0)
_SLOW_SECONDS = (0.1, 0.25, 0.35, 0.6, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

tokens_used = Counter(
    names.TOKENS_USED, "Tokens the embedding server counted in texts it embedded", ["model", "operation"]
)
embedding_latency_seconds = Histogram(
    names.EMBEDDING_LATENCY,
    "Time of one request to the embedding server, answered or not",
    ["operation"],
    buckets=(*_FAST_SECONDS, 30.0, 60.0),
)
embedding_batch_size = Histogram(
    names.EMBEDDING_BATCH_SIZE, "Texts in one embedding request", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
embedding_cache = Counter(names.EMBEDDING_CACHE, "Look-ups in the cache of query vectors", ["result"])
embedding_errors = Counter(names.EMBEDDING_ERRORS, "Embedding requests that failed", ["operation", "code"])
submit_to_searchable_seconds = Histogram(
    names.SUBMIT_TO_SEARCHABLE,
    "From the accepted job to the commit that makes its item searchable",
    buckets=_SLOW_SECONDS,
)
items = Counter(names.ITEMS, "Items that left a stage", ["stage", "outcome", "code"])
fetch = Counter(names.FETCH, "Fetches of pages by how they ended", ["outcome"])
chunks = Counter(names.CHUNKS, "Chunks by what happened to them", ["change"])
search_duration_seconds = Histogram(
    names.SEARCH_DURATION, "Time of a search, whole and by phase", ["mode", "phase"], buckets=_FAST_SECONDS
)
stage_duration_seconds = Histogram(
    names.STAGE_DURATION, "Time of one stage of one batch", ["stage"], buckets=_SLOW_SECONDS
)
rescued = Counter(names.RESCUED, "Batches taken over from a worker that stopped beating")
pruned = Counter(names.PRUNED, "Rows that retention removed", ["kind"])
deleted = Counter(names.DELETED, "What deletions removed, by layer", ["layer"])
stalled = Counter(names.STALLED, "Runs ended because they made no progress though their lease was renewed")
auth = Counter(names.AUTH, "Requests by how the caller was known", ["result"])
rate_limited = Counter(names.RATE_LIMITED, "Requests refused by a limit", ["policy"])
audit_lost = Counter(names.AUDIT_LOST, "Audit records that were dropped because the database was gone for too long")
redis_fallback = Counter(names.FALLBACKS, "Decisions made in the process because Redis did not answer", ["part"])

BREAKER_VALUES: Mapping[str, float] = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class StateCollector(Collector):
    """Gauges that are read when asked, not counted: they are the same in every process, so one process reports them.

    `breakers` returns dependency -> closed, half_open or open; `queue` returns stage -> (items waiting, age of the
    oldest in seconds). Both are called at each scrape, must be quick and must not raise: give them what is known.
    """

    def __init__(
        self,
        *,
        breakers: Callable[[], Mapping[str, str]],
        queue: Callable[[], Mapping[str, tuple[int, float]]],
    ) -> None:
        self._breakers = breakers
        self._queue = queue

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = GaugeMetricFamily(names.BREAKER_STATE, "0 closed, 1 half open, 2 open", labels=["dependency"])
        for dependency, value in self._breakers().items():
            state.add_metric([dependency], BREAKER_VALUES[value])
        depth = GaugeMetricFamily(names.QUEUE_DEPTH, "Items waiting, by the stage they wait for", labels=["stage"])
        oldest = GaugeMetricFamily(names.QUEUE_OLDEST, "Age of the oldest waiting item", labels=["stage"])
        for stage, (waiting, seconds) in self._queue().items():
            depth.add_metric([stage], waiting)
            oldest.add_metric([stage], seconds)
        yield from (state, depth, oldest)


class _OwnProcess(Collector):
    """What this process counted."""

    def collect(self) -> Iterable[object]:  # type: ignore[override]  # the metrics of another registry, as they are
        return REGISTRY.collect()


def build_registry(*state: Collector) -> CollectorRegistry:
    """Return what GET /metrics answers from: the counters of all processes (or of this one) and the given gauges."""
    registry = CollectorRegistry()
    if is_multiprocess():
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # has no annotations
    else:
        registry.register(_OwnProcess())
    for collector in state:
        registry.register(collector)
    return registry


def is_multiprocess() -> bool:
    """Return whether prometheus_client found PROMETHEUS_MULTIPROC_DIR when it was imported."""
    return values.ValueClass is not values.MutexValue


def exposition(registry: CollectorRegistry) -> bytes:
    """Return the body of GET /metrics in the text format; its type is `prometheus_client.CONTENT_TYPE_LATEST`."""
    return generate_latest(registry)
