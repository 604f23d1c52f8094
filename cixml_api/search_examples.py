"""Examples of searches and of hits, shown in the OpenAPI document. A test holds them to the schemas."""

from __future__ import annotations

from pydantic.config import JsonValue

_DOCUMENT_ID = "doc_0193a5c27e8e7b22a1b2c3d4e5f60718"
_CHUNK_ID = "chk_5d41402abc4b2a76b9719d911017c592"
_VERSION_ID = "ver_0193a5c27e8f7c33b2c3d4e5f6071829"
_TIME = "2026-11-24T09:30:00.120000Z"
_RUN_ID = "8d1f0c9e-6a3b-4f57-9c50-0d5be7d3f0a1"

SEARCH_REQUEST: list[JsonValue] = [
    {"query": "how do I rotate an API key", "top_k": 10},
    {
        "query": "rotate API key",
        "mode": "hybrid",
        "filter": {
            "and": [
                {"field": "language", "eq": "en"},
                {"field": "fetched_at", "gte": "2026-01-01"},
                {"not": {"field": "url", "prefix": "https://docs.example.com/old/"}},
                {"field": "metadata.product", "in": ["x", "y"]},
            ]
        },
    },
]

_RESULT: JsonValue = {
    "rank": 1,
    "score": 0.83,
    "scores": {"vector": 0.83, "keyword": None, "fused": None},
    "chunk_id": _CHUNK_ID,
    "document_id": _DOCUMENT_ID,
    "corpus": "product-docs",
    "url": "https://docs.example.com/api",
    "anchor": "https://docs.example.com/api#:~:text=To%20rotate%20a%20key",
    "external_id": "A-17",
    "title": "API keys",
    "text": "To rotate a key, ...",
    "ordinal": 7,
    "offsets": {"start": 4120, "end": 5903, "unit": "unicode code point of text layer"},
    "text_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "snapshot": _VERSION_ID,
    "fetched_at": _TIME,
    "published_at": None,
    "metadata": {"product": "x"},
    "highlights": [[3, 9]],
    "neighbours": [
        {
            "chunk_id": "chk_7d793037a0760186574b0282f2f435e7",
            "ordinal": 8,
            "text": "A rotated key ...",
            "offsets": {"start": 5903, "end": 7020, "unit": "unicode code point of text layer"},
        }
    ],
    "explain": {"vector_rank": 1, "keyword_rank": None, "distance": 0.17},
}

SEARCH_ANSWER: list[JsonValue] = [
    {
        "results": [
            _RESULT,
        ],
        "query": {
            "model": "all-MiniLM-L6-v2",
            "index_version": _VERSION_ID,
            "distance": "cosine",
            "tokens": 9,
            "embedding_cached": False,
        },
        "total_candidates": 812,
        "partial": False,
        "degraded": None,
        "took_ms": {"auth": 0.2, "embed": 6.1, "search": 2.7, "total": 9.4},
        "next": None,
    }
]

CORPORA_SEARCH_REQUEST: list[JsonValue] = [
    {
        "corpora": ["product-docs", "c_9f2e:handbook"],
        "query": "rotate API key",
        "mode": "hybrid",
        "group_by": "document",
    }
]
CORPORA_SEARCH_ANSWER: list[JsonValue] = [
    {
        "results": [_RESULT],
        "queries": [
            {
                "model": "all-MiniLM-L6-v2",
                "index_version": _VERSION_ID,
                "distance": "cosine",
                "tokens": 9,
                "embedding_cached": False,
                "corpus": "product-docs",
            }
        ],
        "total_candidates": 812,
        "degraded": None,
        "took_ms": {"auth": 0.2, "embed": 6.1, "search": 5.2, "total": 12.0},
        "next": None,
    }
]

HIT_LINEAGE: list[JsonValue] = [
    {
        "chunk_id": "chk_5d41402abc4b2a76b9719d911017c592",
        "document_id": "doc_0193a5c27e8e7b22a1b2c3d4e5f60718",
        "corpus": "product-docs",
        "url": "https://docs.example.com/api",
        "external_id": "A-17",
        "is_live": True,
        "live_from": _TIME,
        "live_to": None,
        "partition": "product-docs-9f2e41aa",
        "page": {
            "snapshot": _VERSION_ID,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "bytes": 48213,
            "final_url": "https://docs.example.com/api",
            "http_status": 200,
            "content_type": "text/html",
            "charset": "utf-8",
            "etag": '"5f2b"',
            "last_modified": None,
            "fetched_at": _TIME,
            "robots": {"allowed": True, "rule": "Allow: /", "fetched_at": _TIME},
            "job_id": "job_0193a5c27e5b7c0d9a0f3f0c5b1e2d4f",
            "item_id": "item_0193a5c27e5c7a11b0c2d3e4f5061728",
            "run_id": _RUN_ID,
        },
        "text": {
            "extractor": "trafilatura",
            "text_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            "coverage": 0.98,
            "language": "en",
        },
        "chunk": {
            "ordinal": 7,
            "offsets": {"start": 4120, "end": 5903, "unit": "unicode code point of text layer"},
            "heading": "API keys > Rotate",
            "token_count": 251,
            "text_sha256": "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9",
            "algorithm": "cut-at-tokens/1",
            "settings": {"strategy": "recursive", "max_tokens": 256, "overlap_tokens": 32},
            "fingerprint": "5b2c1f0e9d8a7b6c5b2c1f0e9d8a7b6c",
            "chunked_at": _TIME,
            "run_id": _RUN_ID,
        },
        "vector": {
            "model": "all-MiniLM-L6-v2",
            "revision": "1",
            "dimension": 384,
            "fingerprint": "2f1e0d9c8b7a6f5e",
            "index_version": _VERSION_ID,
            "kind": "exact",
            "state": "serving",
            "created_at": _TIME,
            "serving_since": _TIME,
            "embedded_at": _TIME,
            "run_id": _RUN_ID,
        },
    }
]
