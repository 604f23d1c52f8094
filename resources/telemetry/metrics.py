"""Every counter and histogram of the product. Gauges of state are in state_gauges.py, how it is told in exposition.py.

No caller, URL or corpus is a label: those are unbounded and live in spans and in the usage ledger.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from resources.telemetry import attributes as names

_FAST_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.35, 0.6, 1.0, 2.5, 5.0, 10.0)
_SLOW_SECONDS = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Fine where one small page is to become searchable: half of them within 0.35 s, 95 % within 0.6 s."""

requests = Counter(names.REQUESTS, "Requests to the API by how they were answered", ["route", "status"])
request_duration_seconds = Histogram(
    names.REQUEST_DURATION, "From a request to the begin of its answer", ["route"], buckets=_FAST_SECONDS
)

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
    names.EMBEDDING_BATCH_SIZE,
    "Texts in one embedding request",
    ["operation"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
embedding_cache = Counter(names.EMBEDDING_CACHE, "Look-ups in the cache of query vectors", ["result"])
embedding_errors = Counter(names.EMBEDDING_ERRORS, "Embedding requests that failed", ["operation", "code"])
submit_to_searchable_seconds = Histogram(
    names.SUBMIT_TO_SEARCHABLE,
    "From the accepted job to the commit that makes its item searchable",
    buckets=_SLOW_SECONDS,
)
job_duration_seconds = Histogram(
    names.JOB_DURATION, "From the accepted job to the end of its last item", ["outcome"], buckets=_SLOW_SECONDS
)
fairshare_wait_seconds = Histogram(
    names.FAIRSHARE_WAIT, "From the accepted job until a run took the item for the first time", buckets=_SLOW_SECONDS
)
items = Counter(names.ITEMS, "Items that left a stage", ["stage", "outcome", "code"])
fetch = Counter(
    names.FETCH, "Fetches of pages by how they ended, and whether what is stored served still", ["outcome", "cache"]
)
chunks = Counter(names.CHUNKS, "Chunks by what happened to them", ["change"])
search_duration_seconds = Histogram(
    names.SEARCH_DURATION, "Time of a search, whole and by phase", ["mode", "phase"], buckets=_FAST_SECONDS
)
search_results = Histogram(
    names.SEARCH_RESULTS, "Hits in the answer of a search", ["mode"], buckets=(0, 1, 2, 5, 10, 20, 50, 100)
)
stage_duration_seconds = Histogram(
    names.STAGE_DURATION, "Time of one stage of one batch", ["stage"], buckets=_SLOW_SECONDS
)
rescued = Counter(names.RESCUED, "Batches taken over from a worker that stopped beating")
pruned = Counter(names.PRUNED, "Rows that retention removed", ["kind"])
deleted = Counter(names.DELETED, "What deletions removed, by layer", ["layer"])
orphans = Counter(names.ORPHANS, "What was left of deleted corpora after every layer was found empty", ["layer"])
stalled = Counter(names.STALLED, "Runs ended because they made no progress though their lease was renewed")
auth = Counter(names.AUTH, "Requests by how the caller was known", ["result"])
rate_limited = Counter(names.RATE_LIMITED, "Requests refused by a limit", ["policy"])
audit_lost = Counter(names.AUDIT_LOST, "Audit records that were dropped because the database was gone for too long")
spans_dropped = Counter(names.SPANS_DROPPED, "Spans that could not be exported")
redis_fallback = Counter(names.FALLBACKS, "Decisions made in the process because Redis did not answer", ["part"])
