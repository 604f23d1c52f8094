"""Ids: UUIDv7 made here where a statement can't return one in time, and their public form `job_<hex>`."""

from __future__ import annotations

import secrets
import time
from enum import StrEnum
from uuid import UUID

from resources.errors import NotFoundError


class Prefix(StrEnum):
    """What a public id names."""

    JOB = "job"
    ITEM = "item"
    DOCUMENT = "doc"
    CHUNK = "chk"
    VERSION = "ver"
    AUDIT = "aud"
    RECEIPT = "rcp"


def new_uuid() -> UUID:
    """Return a UUIDv7: ordered by the millisecond, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1))


def public_id(prefix: Prefix, value: UUID) -> str:
    """Return the form that callers see."""
    return f"{prefix}_{value.hex}"


def parse_public_id(prefix: Prefix, text: str) -> UUID:
    """Return the UUID of a public id. Raises NotFoundError: a malformed id answers like a missing one."""
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != 32:
        raise NotFoundError
    try:
        value = UUID(hex=digits)
    except ValueError:
        raise NotFoundError from None
    if value.hex != digits:
        raise NotFoundError
    return value


def short_id(value: UUID) -> str:
    """Return 8 hex digits of the random part: readable in a partition key, unique with the name beside it."""
    return value.hex[-8:]
