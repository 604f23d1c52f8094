"""Pages that are made, not read: tiny ones, and slow ones that are answered after a second. Each has its own text."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum

SLOW_SECONDS = 1.0
_PATH = re.compile(r"/(tiny|slow)/(\d+)\.html")
WORDS = [
    "index",
    "table",
    "page",
    "query",
    "record",
    "buffer",
    "column",
    "server",
    "client",
    "network",
    "segment",
    "vector",
    "cluster",
    "memory",
    "thread",
    "lock",
    "cache",
    "schema",
    "branch",
    "commit",
    "policy",
    "region",
    "volume",
    "packet",
    "socket",
    "kernel",
    "module",
    "filter",
    "router",
    "tenant",
]


class Kind(StrEnum):
    TINY = "tiny"
    SLOW = "slow"

    @property
    def delay_seconds(self) -> float:
        return SLOW_SECONDS if self is Kind.SLOW else 0.0


def path_of(kind: Kind, number: int) -> str:
    return f"/{kind}/{number}.html"


def find(path: str) -> tuple[Kind, int] | None:
    """Return the kind and number of a made page's path; None for any other."""
    match = _PATH.fullmatch(path)
    return (Kind(match[1]), int(match[2])) if match else None


def body_of(kind: Kind, number: int) -> bytes:
    """Return a page of about 1 KB: one chunk, with words of its own."""
    digest = hashlib.shake_128(f"{kind} {number}".encode()).digest(90)
    words = [WORDS[byte % len(WORDS)] for byte in digest]
    sentences = [f"The {' '.join(words[at : at + 9])} of note {number}." for at in range(0, len(words), 9)]
    half = len(sentences) // 2
    paragraphs = (f"<p>{' '.join(part)}</p>" for part in (sentences[:half], sentences[half:]))
    title = f"Note {number}, {kind}"
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><main><h1>{title}</h1>{''.join(paragraphs)}</main></body></html>"
    ).encode()
