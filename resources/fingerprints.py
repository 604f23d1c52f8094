"""Fingerprints that more than one part computes: equal fingerprints mean equal chunks."""

from __future__ import annotations

import hashlib

import orjson

from resources.types import Chunking

ALGORITHM = "cut-at-tokens/1"
"""Part of the fingerprint: changed when the same text and sizes would be cut differently than before."""


def chunking_fingerprint(chunking: Chunking, tokenizer_sha256: str) -> str:
    """Return what a chunk set depends on besides its text, as 32 hex digits."""
    parts = [ALGORITHM, chunking.strategy, chunking.max_tokens, chunking.overlap_tokens, tokenizer_sha256]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]
