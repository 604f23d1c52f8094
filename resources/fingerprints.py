"""Fingerprints that more than one part computes: equal fingerprints mean equal chunks."""

from __future__ import annotations

import hashlib

from resources.types import Chunking

CHUNKER_VERSION = 1
"""Raised when the same text and settings would be cut differently than before."""


def chunking_fingerprint(chunking: Chunking, tokenizer_sha256: str) -> str:
    """Return what identifies a way of cutting text: the rule, its sizes and the tokenizer that counts them."""
    parts = (CHUNKER_VERSION, chunking.strategy, chunking.max_tokens, chunking.overlap_tokens, tokenizer_sha256)
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]
