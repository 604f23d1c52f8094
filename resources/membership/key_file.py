"""The embedded default: keys in a JSON file, which holds their HMACs."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from resources.errors import MembershipUnavailableError, UnauthenticatedError
from resources.membership.contract import MembershipReport, caller_id_of, is_key
from resources.types import CallerContext, CallerType, Scope

_log = logging.getLogger("cixml.membership")


class KeyRecord(BaseModel):
    """One entry of the keys file. It names the caller, not the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    caller_id: str
    caller_type: CallerType
    scopes: list[Scope] = [Scope.CALLER]
    created_at: datetime


_RECORDS = TypeAdapter(list[KeyRecord])


class KeyFileMembership:
    """Read again whenever the file changes: a new key is valid at once."""

    def __init__(self, path: Path, *, pepper: str) -> None:
        self._path = path
        self._pepper = pepper
        self._seen: tuple[int, int, int] | None = None
        self._callers: dict[str, CallerContext] = {}
        self._is_readable = True
        self._since = time.monotonic()

    async def authenticate(self, key: str) -> CallerContext:
        """Return whose key this is. Raises UnauthenticatedError, or MembershipUnavailableError for a broken file."""
        caller = self._look_up(key)
        if caller is None:
            raise UnauthenticatedError
        return caller

    async def is_known(self, key: str) -> bool:
        """Tell whether the file has the key; with a broken file nobody is known."""
        try:
            return self._look_up(key) is not None
        except MembershipUnavailableError:
            return False

    def report(self) -> MembershipReport:
        """Tell whether the file could be read when it was last looked at."""
        return MembershipReport(
            kind="key_file",
            is_up=self._is_readable,
            since_seconds=time.monotonic() - self._since,
            detail=None if self._is_readable else "the keys file can't be read: mend it",
        )

    async def aclose(self) -> None:
        """Do nothing: no file stays open."""

    def _look_up(self, key: str) -> CallerContext | None:
        return self._current().get(caller_id_of(key, self._pepper)) if is_key(key) else None

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
            if self._is_readable:
                _log.exception("the keys file can't be read")
            self._note(is_readable=False)
            raise MembershipUnavailableError from error
        self._note(is_readable=True)
        return self._callers

    def _note(self, *, is_readable: bool) -> None:
        if is_readable is not self._is_readable:
            self._is_readable, self._since = is_readable, time.monotonic()


def _read(path: Path) -> dict[str, CallerContext]:
    try:
        records = _RECORDS.validate_python(json.loads(path.read_bytes()))
    except ValidationError as error:
        raise ValueError(f"the keys file is not a list of keys: {error.error_count()} errors") from error
    return {
        record.caller_id: CallerContext(
            caller_id=record.caller_id, caller_type=record.caller_type, scopes=frozenset(record.scopes)
        )
        for record in records
    }
