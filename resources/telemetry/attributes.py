"""Names of spans, attributes and metrics: the only place where they stand as literals.

The attribute list is the customer's and closed: an attribute that is not here is not approved. No span or metric name
holds data, and no metric has a caller, a URL or a corpus as label.
"""

from __future__ import annotations

from typing import Final

# Resource attributes, set once per process.
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment"

# Span and log attributes.
JOB_ID: Final = "job.id"
JOB_URL: Final = "job.url"
JOB_STAGE: Final = "job.stage"
QUEUE_NAME: Final = "queue.name"
OPERATION: Final = "operation"
REQUEST_MODE: Final = "request.mode"
CORPUS_NAME: Final = "corpus.name"
EMBEDDING_MODEL: Final = "embedding.model"
EMBEDDING_TOKENS: Final = "embedding.tokens"
SEARCH_TOP_K: Final = "search.top_k"
CALLER_TYPE: Final = "caller.type"
HTTP_REQUEST_ID: Final = "http.request_id"
FAILED_STAGE: Final = "failed.stage"

RESOURCE_ATTRIBUTES: Final = frozenset({SERVICE_NAME, SERVICE_VERSION, DEPLOYMENT_ENVIRONMENT})
SPAN_ATTRIBUTES: Final = frozenset(
    {
        JOB_ID,
        JOB_URL,
        JOB_STAGE,
        QUEUE_NAME,
        OPERATION,
        REQUEST_MODE,
        CORPUS_NAME,
        EMBEDDING_MODEL,
        EMBEDDING_TOKENS,
        SEARCH_TOP_K,
        CALLER_TYPE,
        HTTP_REQUEST_ID,
        FAILED_STAGE,
    }
)

# Values of `operation` and `request.mode`.
READ: Final = "read"
WRITE: Final = "write"
SYNC: Final = "sync"
ASYNC: Final = "async"

# Spans. One name says one thing: of a page it ends in "page".
EMBED_SPAN: Final = "embed texts"
QUERY_SPAN: Final = "query vector"
SEARCH_SPAN: Final = "search"
SEARCH_VECTORS_SPAN: Final = "search vectors"
SEARCH_WORDS_SPAN: Final = "search words"
FUSION_SPAN: Final = "fuse"
CLAIM_SPAN: Final = "claim"
RUN_SPAN: Final = "run"
LAUNCH_SPAN: Final = "launch"
INDEX_SPAN: Final = "index"
DELETE_SPAN: Final = "delete"
DELETE_SLICE_SPAN: Final = "delete slice"
STORE_PAGES_SPAN: Final = "store pages"
STORE_CHUNKS_SPAN: Final = "store chunks"
STORE_VECTORS_SPAN: Final = "store vectors"

# Events of spans.
TURN_EVENT: Final = "its turn at the host"
TAKEN_EVENT: Final = "taken by the extractor"
SENT_EVENT: Final = "sent"
CONNECTED_EVENT: Final = "connected"

# Metrics. The counter of tokens keeps the name it had in the first design; prometheus_client adds `_total` itself.
TOKENS_USED: Final = "openai_tokens_used"
REQUESTS: Final = "cixml_requests"
REQUEST_DURATION: Final = "cixml_request_duration_seconds"
EMBEDDING_LATENCY: Final = "cixml_embedding_latency_seconds"
EMBEDDING_BATCH_SIZE: Final = "cixml_embedding_batch_size"
EMBEDDING_CACHE: Final = "cixml_embedding_cache"
EMBEDDING_ERRORS: Final = "cixml_embedding_errors"
SUBMIT_TO_SEARCHABLE: Final = "cixml_submit_to_searchable_seconds"
JOB_DURATION: Final = "cixml_job_duration_seconds"
FAIRSHARE_WAIT: Final = "cixml_fairshare_wait_seconds"
ITEMS: Final = "cixml_items"
FETCH: Final = "cixml_fetch"
CHUNKS: Final = "cixml_chunks"
SEARCH_DURATION: Final = "cixml_search_duration_seconds"
SEARCH_RESULTS: Final = "cixml_search_results"
STAGE_DURATION: Final = "cixml_stage_duration_seconds"
RESCUED: Final = "cixml_rescued"
STALLED: Final = "cixml_stalled"
PRUNED: Final = "cixml_pruned"
DELETED: Final = "cixml_deleted"
AUTH: Final = "cixml_auth"
RATE_LIMITED: Final = "cixml_ratelimited"
SPANS_DROPPED: Final = "cixml_spans_dropped"
ORPHANS: Final = "cixml_orphans"
AUDIT_LOST: Final = "cixml_audit_lost"
FALLBACKS: Final = "cixml_redis_fallback"

# Gauges of state, read at a scrape.
UP: Final = "cixml_up"
STATE_AGE: Final = "cixml_state_age_seconds"
HEARTBEAT_AGE: Final = "cixml_heartbeat_age_seconds"
BREAKER_STATE: Final = "cixml_breaker_state"
QUEUE_DEPTH: Final = "cixml_queue_depth"
QUEUE_OLDEST: Final = "cixml_queue_oldest_seconds"
JOBS: Final = "cixml_jobs"
ITEMS_IN_WORK: Final = "cixml_items_in_work"
LARGEST_SHARE: Final = "cixml_largest_share"
CALLERS_WAITING: Final = "cixml_callers_waiting"
BATCHES: Final = "cixml_batches"
WORKERS: Final = "cixml_workers"
WORKER_SLOTS: Final = "cixml_worker_slots"
HOSTS_PAUSED: Final = "cixml_hosts_paused"
DELETIONS_OPEN: Final = "cixml_deletions_open"
DELETION_OLDEST: Final = "cixml_deletion_oldest_seconds"
POSTGRES_ROWS: Final = "cixml_postgres_rows"
POSTGRES_DEAD_ROWS: Final = "cixml_postgres_dead_rows"
POSTGRES_CONNECTIONS: Final = "cixml_postgres_connections"
POSTGRES_CONNECTIONS_LIMIT: Final = "cixml_postgres_connections_limit"
POSTGRES_OLDEST_TRANSACTION: Final = "cixml_postgres_oldest_transaction_seconds"
POSTGRES_DATABASE_SIZE: Final = "cixml_postgres_database_bytes"
AUDIT_UNWRITTEN: Final = "cixml_audit_unwritten_seconds"
REDIS_MEMORY: Final = "cixml_redis_memory_bytes"
REDIS_MEMORY_LIMIT: Final = "cixml_redis_memory_limit_bytes"
DAGSTER_RUNS: Final = "cixml_dagster_runs"
DAGSTER_EVENT_ROWS: Final = "cixml_dagster_event_rows"
