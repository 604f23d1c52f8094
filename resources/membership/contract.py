"""What the API asks of whoever knows the callers. The key itself is hashed here and goes nowhere else."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal, Protocol

from resources.types import CallerContext

MAX_KEY_CHARACTERS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipReport:
    """How the callers are known, and whether that works. `detail` says what is wrong."""

    kind: Literal["key_file", "service"]
    is_up: bool
    since_seconds: float
    detail: str | None = None


class Membership(Protocol):
    """Knows the callers."""

    async def authenticate(self, key: str) -> CallerContext:
        """Return whose key this is. Raises UnauthenticatedError, or MembershipUnavailableError when it can't tell."""
        ...

    async def is_known(self, key: str) -> bool:
        """Tell whether this key was a caller's of late; it asks nobody outside."""
        ...

    def report(self) -> MembershipReport:
        """Tell how it went the last time, without trying."""
        ...

    async def aclose(self) -> None:
        """Drop the connections."""
        ...


def caller_id_of(key: str, pepper: str) -> str:
    """Return the caller's id: an HMAC-SHA256, so that neither a row nor a log gives the key away."""
    return "c_" + hmac.new(pepper.encode(), key.encode(), hashlib.sha256).hexdigest()


def is_key(text: str) -> bool:
    """Tell whether a text may be a key at all."""
    return 0 < len(text) <= MAX_KEY_CHARACTERS and text.isascii()
