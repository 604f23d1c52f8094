"""Who calls: an API key becomes a CallerContext. The key itself is hashed here and goes nowhere else.

The embedded default reads a file of keys; an adapter to the Membership service fits the same Protocol.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from resources.errors import MembershipUnavailableError, UnauthenticatedError
from resources.types import CallerContext, CallerType

MAX_KEY_CHARACTERS = 512

_log = logging.getLogger("cixml.membership")


class Membership(Protocol):
    """Knows the callers."""

    async def authenticate(self, key: str) -> CallerContext:
        """Return whose key this is. Raises UnauthenticatedError, or MembershipUnavailableError when it can't tell."""
        ...


class KeyRecord(BaseModel):
    """One entry of the keys file. It names the caller, not the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    caller_id: str
    caller_type: CallerType
    created_at: datetime


_RECORDS = TypeAdapter(list[KeyRecord])


def caller_id_of(key: str, pepper: str) -> str:
    """Return the caller's id: an HMAC-SHA256, so that neither a row nor a log gives the key away."""
    return "c_" + hmac.new(pepper.encode(), key.encode(), hashlib.sha256).hexdigest()


class KeyFileMembership:
    """Keys in a JSON file, read again whenever it changes: a new key is valid at once."""

    def __init__(self, path: Path, *, pepper: str) -> None:
        self._path = path
        self._pepper = pepper
        self._seen: tuple[int, int, int] | None = None
        self._callers: dict[str, CallerContext] = {}

    async def authenticate(self, key: str) -> CallerContext:
        """Return whose key this is. Raises UnauthenticatedError."""
        if not key or len(key) > MAX_KEY_CHARACTERS or not key.isascii():
            raise UnauthenticatedError
        caller = self._current().get(caller_id_of(key, self._pepper))
        if caller is None:
            raise UnauthenticatedError
        return caller

    def _current(self) -> dict[str, CallerContext]:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._callers = _read(self._path)
                self._seen = seen
        except FileNotFoundError:
            self._callers, self._seen = {}, None
        except (OSError, ValueError) as error:
            _log.exception("the keys file can't be read")
            raise MembershipUnavailableError from error
        return self._callers


def _read(path: Path) -> dict[str, CallerContext]:
    try:
        records = _RECORDS.validate_python(json.loads(path.read_bytes()))
    except ValidationError as error:
        raise ValueError(f"the keys file is not a list of keys: {error.error_count()} errors") from error
    return {
        record.caller_id: CallerContext(caller_id=record.caller_id, caller_type=record.caller_type)
        for record in records
    }
