"""Examples of bodies, shown in the OpenAPI document. A test holds them to the schemas."""

from __future__ import annotations

from pydantic.config import JsonValue

_JOB_ID = "job_0193a5c27e5b7c0d9a0f3f0c5b1e2d4f"
_ITEM_ID = "item_0193a5c27e5c7a11b0c2d3e4f5061728"
_DOCUMENT_ID = "doc_0193a5c27e8e7b22a1b2c3d4e5f60718"
_CHUNK_ID = "chk_5d41402abc4b2a76b9719d911017c592"
_VERSION_ID = "ver_0193a5c27e8f7c33b2c3d4e5f6071829"
_TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
_TIME = "2026-11-24T09:30:00.120000Z"

LIST_METADATA: dict[str, JsonValue] = {
    "limit": 50,
    "order": "-created_at",
    "next": None,
    "total_records": 1,
    "total_is_exact": True,
    "warnings": [],
}

JOB_REQUEST: list[JsonValue] = [
    {"corpus": "product-docs", "urls": ["https://docs.example.com/start"]},
    {
        "corpus": "product-docs",
        "create_corpus": True,
        "urls": [
            "https://docs.example.com/start",
            {"url": "https://docs.example.com/api", "metadata": {"product": "x"}, "external_id": "A-17"},
        ],
    },
    {
        "corpus": "product-docs",
        "urls": ["https://docs.example.com/"],
        "crawl": {
            "mode": "links",
            "max_depth": 3,
            "max_pages": 500,
            "include": ["/docs/**"],
            "exclude": ["**/changelog/**"],
        },
    },
    {
        "corpus": "product-docs",
        "documents": [{"external_id": "T-4711", "markdown": "# Rotate a key\n\nFirst, ...", "title": "Rotate a key"}],
    },
]

PUSHED_DOCUMENT: list[JsonValue] = [
    {"external_id": "T-4711", "markdown": "# Rotate a key\n\nFirst, ...", "metadata": {"product": "x"}},
    {"external_id": "T-4712", "text": "Keys are rotated by ...", "title": "Keys"},
]

RETRY_REQUEST: list[JsonValue] = [
    {"only": ["failed"], "stages": ["embedding"]},
    {"items": [_ITEM_ID]},
]

DELETION_REQUEST: list[JsonValue] = [
    {"filter": {"url_prefix": "https://docs.example.com/v1/"}, "dry_run": True},
    {"filter": {"language": "en", "fetched_before": _TIME, "metadata": {"product": "x"}}},
]

DELETION_COUNT: list[JsonValue] = [{"documents": 52}]

RECEIPT: list[JsonValue] = [
    {
        "id": "rcp_0193a5c27e907d44a3b4c5d6e7f80192",
        "kind": "corpus",
        "corpus": "product-docs",
        "status": "running",
        "waits_for": "dispatch",
        "requested_at": _TIME,
        "finished_at": None,
        "trace_id": _TRACE_ID,
        "removed": {
            "documents": 52,
            "versions": 61,
            "page_bodies": 60,
            "chunk_sets": 61,
            "chunks": 290,
            "lexemes": 290,
            "vectors": 274,
            "jobs": 1,
            "items": 4,
            "batches": 1,
            "relations": 0,
            "index_versions": 1,
            "grants": 2,
            "partitions": 0,
        },
    },
]


JOB: list[JsonValue] = [
    {
        "id": _JOB_ID,
        "status": "running",
        "version": 17,
        "corpus": "product-docs",
        "caller_id": "c_9f2e",
        "parent_job_id": None,
        "created_at": _TIME,
        "started_at": _TIME,
        "finished_at": None,
        "failed_stage": None,
        "error": None,
        "cancel_requested": False,
        "items": {
            "total": 52,
            "queued": 10,
            "scraping": 3,
            "chunking": 1,
            "embedding": 2,
            "indexed": 30,
            "unchanged": 4,
            "skipped": 1,
            "failed": 1,
            "cancelled": 0,
        },
        "progress": 0.69,
        "eta_seconds": 41,
        "queue": {"ahead_of_you": 12, "your_share": 0.5},
        "waiting": [{"reason": "queue", "items": 10, "next_attempt_at": None}],
        "runs": [
            {
                "run_id": "7f1c6d7e-3f6c-4b7e-9a53-0b8b5a1d2c3e",
                "partition": "product-docs-5b1e2d4f",
                "state": "running",
                "items": 42,
                "started_at": _TIME,
                "finished_at": None,
            }
        ],
        "trace_id": _TRACE_ID,
        "usage": {
            "pages": 37,
            "bytes": 1840211,
            "chunks": 812,
            "embedding_tokens": 391022,
            "cached_tokens": 120400,
        },
        "crawl": {
            "mode": "links",
            "max_depth": 3,
            "max_pages": 500,
            "include": ["/docs/**"],
            "exclude": ["**/changelog/**"],
            "same_host": True,
            "pages_found": 52,
            "pages_left_out": 0,
        },
        "links": {
            "self": f"/v1/jobs/{_JOB_ID}",
            "items": f"/v1/jobs/{_JOB_ID}/items",
            "events": f"/v1/jobs/{_JOB_ID}/events",
            "cancel": f"/v1/jobs/{_JOB_ID}/cancel",
            "retry": f"/v1/jobs/{_JOB_ID}/retry",
        },
    }
]

_ITEM: dict[str, JsonValue] = {
    "id": _ITEM_ID,
    "url": "https://docs.example.com/start",
    "final_url": "https://docs.example.com/start",
    "external_id": None,
    "metadata": {},
    "status": "failed",
    "failed_stage": "scraping",
    "attempts": 3,
    "next_attempt_at": None,
    "waiting_reason": None,
    "http": {"status": 503, "etag": None, "bytes": 0, "fetched_at": _TIME},
    "robots": {"allowed": True, "rule": "Allow: /", "fetched_at": _TIME},
    "change": None,
    "chunks": {"total": 0, "added": 0, "kept": 0, "removed": 0},
    "document_id": None,
    "error": {
        "code": "http_5xx",
        "failed_stage": "scraping",
        "retryable": True,
        "http_status": 503,
        "attempts": 3,
        "detail": "503 from origin after 3 tries",
    },
    "duplicate_of": None,
    "retried_as": None,
    "kind": "page",
    "depth": 1,
    "parent_item_id": "item_0193a5c27e5c7a11b0c2d3e4f5061727",
    "created_at": _TIME,
    "started_at": _TIME,
    "finished_at": _TIME,
}
ITEM: list[JsonValue] = [_ITEM]
PLACED_ITEM: list[JsonValue] = [{**_ITEM, "job_id": _JOB_ID, "corpus": "product-docs"}]

CORPUS_REQUEST: list[JsonValue] = [
    {"name": "product-docs"},
    {"name": "product-docs", "title": "Product", "chunking": {"max_tokens": 128, "overlap_tokens": 16}},
    {"name": "product-docs", "exclusions": {"tags": ["details"], "classes": ["version-note"]}},
]
CORPUS_PATCH: list[JsonValue] = [{"title": "Product documentation"}]
GRANT_REQUEST: list[JsonValue] = [{"role": "reader"}]
GRANT: list[JsonValue] = [{"caller_id": "c_41ad", "role": "reader", "granted_at": _TIME}]

_INDEX_VERSION: JsonValue = {
    "id": _VERSION_ID,
    "model": "all-MiniLM-L6-v2",
    "kind": "exact",
    "state": "serving",
    "chunking": {"strategy": "recursive", "max_tokens": 256, "overlap_tokens": 32},
    "created_at": _TIME,
    "state_changed_at": _TIME,
}
INDEX_VERSION_REQUEST: list[JsonValue] = [
    {"model": "all-MiniLM-L6-v2", "from": "text", "chunking": {"max_tokens": 128, "overlap_tokens": 16}},
    {"model": "bge-m3", "from": "text", "chunking": {"max_tokens": 512, "overlap_tokens": 64}, "activate": "auto"},
]

ACTIVATION_REQUEST: list[JsonValue] = [{"force": False}]

_LABEL: dict[str, JsonValue] = {
    "query": "how do I rotate a key",
    "relevant": ["https://docs.example.com/api", "T-4711"],
}
LABELS_REQUEST: list[JsonValue] = [{"labels": [_LABEL]}]
LABEL_RECORD: list[JsonValue] = [_LABEL]

INDEX_VERSION_DETAIL: list[JsonValue] = [
    {
        "id": _VERSION_ID,
        "model": "bge-m3",
        "kind": "exact",
        "state": "building",
        "chunking": {"strategy": "recursive", "max_tokens": 512, "overlap_tokens": 64},
        "from": "chunks",
        "activate": "manual",
        "activation_requested_at": None,
        "drop_after": None,
        "progress": {
            "cut": {"done": 1000, "total": 1000},
            "documents": {"done": 120, "total": 1000},
            "chunks": {"done": 700, "total": 5571},
            "share": 0.1257,
            "eta_seconds": 28,
        },
        "comparison": {
            "compared_at": _TIME,
            "compared_with": _VERSION_ID,
            "queries": 40,
            "is_labelled": True,
            "overlap_at_10": 0.71,
            "candidate": {"model": "bge-m3", "ndcg_at_10": 0.58, "recall_at_10": 0.81, "p50_ms": 3.1, "p95_ms": 4.4},
            "serving": {
                "model": "all-MiniLM-L6-v2",
                "ndcg_at_10": 0.52,
                "recall_at_10": 0.77,
                "p50_ms": 2.0,
                "p95_ms": 2.9,
            },
            "limits": {"max_quality_drop": 0.02, "max_slowdown_ratio": 1.5, "max_slowdown_ms": 50.0},
            "is_good": True,
            "troubles": [],
        },
        "error": None,
        "created_at": _TIME,
        "state_changed_at": _TIME,
        "trace_id": _TRACE_ID,
    }
]

EVENTS = f"""event: item
data: {{"id":"{_ITEM_ID}","status":"indexed"}}
id: 17.3

event: progress
data: {{"version":17,"status":"running","progress":0.69}}
id: 17

"""

CORPUS: list[JsonValue] = [
    {
        "name": "product-docs",
        "owner": "c_9f2e",
        "address": "product-docs",
        "role": "owner",
        "title": "Product documentation",
        "require_if_match": False,
        "exclusions": {"tags": [], "classes": ["version-note"]},
        "partition": "product-docs-5b1e2d4f",
        "created_at": _TIME,
        "updated_at": _TIME,
        "counts": {"documents": 41, "chunks": 812, "bytes": 1840211},
        "active_index": _INDEX_VERSION,
        "index_versions": [_INDEX_VERSION],
        "freshness": {"oldest": _TIME, "newest": _TIME},
        "grants": GRANT,
    }
]

_DOCUMENT: dict[str, JsonValue] = {
    "id": _DOCUMENT_ID,
    "url": "https://docs.example.com/api",
    "external_id": "A-17",
    "metadata": {"product": "x"},
    "status": "live",
    "title": "API keys",
    "language": "en",
    "content_type": "text/html",
    "bytes": 18402,
    "chunk_count": 12,
    "snapshot": _VERSION_ID,
    "published_at": None,
    "fetched_at": _TIME,
    "changed_at": _TIME,
    "checked_at": _TIME,
}
LISTED_DOCUMENT: list[JsonValue] = [_DOCUMENT]
DOCUMENT: list[JsonValue] = [
    _DOCUMENT
    | {
        "versions": [
            {
                "id": _VERSION_ID,
                "is_live": True,
                "fetched_at": _TIME,
                "live_from": _TIME,
                "live_to": None,
                "final_url": "https://docs.example.com/api",
                "http_status": 200,
                "etag": '"5f1c"',
                "last_modified": None,
                "content_type": "text/html",
                "bytes": 18402,
                "sha256": "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9",
                "text_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
                "title": "API keys",
                "language": "en",
                "published_at": None,
            }
        ],
    }
]
CHUNK: list[JsonValue] = [
    {
        "id": _CHUNK_ID,
        "ordinal": 7,
        "text": "To rotate a key, ...",
        "start": 4120,
        "end": 5903,
        "token_count": 212,
        "heading": "API keys > Rotation",
    }
]
SOURCE: list[JsonValue] = [
    {
        "url": "https://docs.example.com/api",
        "external_id": "A-17",
        "document_id": _DOCUMENT_ID,
        "title": "API keys",
        "fetched_at": _TIME,
        "checked_at": _TIME,
    }
]


AUDIT_ENTRY: list[JsonValue] = [
    {
        "id": "aud_0193a5c27e907d44a3b4c5d6e7f80912",
        "at": _TIME,
        "caller_id": "c_9f2e",
        "peer": "192.0.2.7",
        "method": "POST",
        "route": "/v1/jobs",
        "ids": {"made": _JOB_ID},
        "status": 202,
        "request_id": "0193a5c27e5b4c0d9a0f3f0c5b1e2d4f",
        "trace_id": _TRACE_ID,
    }
]

QUOTA: list[JsonValue] = [
    {
        "requests_per_minute": {"limit": 6000, "used": 12, "reset_seconds": 48.2},
        "queued_pages": {"limit": 50000, "used": 120, "reset_seconds": None},
        "corpora": {"limit": 1000, "used": 3, "reset_seconds": None},
        "tokens_per_day": {"limit": None, "used": 391022, "reset_seconds": 52200.0},
    }
]

_USED: dict[str, JsonValue] = {
    "pages": 37,
    "bytes": 1840211,
    "chunks": 812,
    "embedding_tokens": 391022,
    "cached_tokens": 120400,
    "searches": 0,
}
USAGE: list[JsonValue] = [
    {
        "from": "2026-11-01",
        "to": "2026-12-01",
        "total": _USED,
        "content": [
            {
                "caller_id": None,
                "corpus": "product-docs",
                "model": None,
                "operation": "index",
                "day": None,
                **_USED,
            }
        ],
        "_metadata": LIST_METADATA | {"order": "corpus,operation"},
    }
]

LIVE: list[JsonValue] = [{"status": "ok"}]
READY: list[JsonValue] = [{"status": "ready", "checks": {"postgres": "ok", "migrations": "ok", "pool": "ok"}}]
HEALTH: list[JsonValue] = [
    {
        "status": "ok",
        "postgres": {"status": "ok", "detail": None},
        "redis": {"status": "ok", "detail": None},
        "membership": {"kind": "service", "status": "ok", "since_seconds": 86400.0, "detail": None},
        "embedding": [
            {
                "model": "all-MiniLM-L6-v2",
                "breaker": "closed",
                "since_seconds": 86400.0,
                "retry_after_seconds": 0.0,
                "reason": None,
                "shared": True,
            }
        ],
        "queue": {"ready": 0, "waiting": 0, "leased": 3, "oldest_seconds": 0.0},
        "worker_slots": 4,
        "warnings": [],
    }
]
