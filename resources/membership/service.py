"""The Membership service's client: `POST {url}/auth` with the key, and what its answers mean. It remembers nothing.

200 with {"valid": true, ...} is a caller and 401 or {"valid": false} a refusal. Whatever else comes, also a 200 that is
not this JSON, is an outage: a client that is told "unknown key" throws a good key away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ConfigDict, StrictBool, ValidationError

from resources.errors import MembershipUnavailableError
from resources.membership.contract import MembershipReport
from resources.types import CallerContext, CallerType, Scope

MOST_CONNECTIONS = 32
_log = logging.getLogger("cixml.membership")


class _Answer(BaseModel):
    """What is read of an answer; fields that are not known here are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    valid: StrictBool
    caller_type: str | None = None
    tenant: str | None = None
    tier: str | None = None
    scopes: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What Membership says of a valid key."""

    caller_type: CallerType
    scopes: frozenset[str]
    tier: str | None
    tenant: str | None

    def of(self, caller_id: str) -> CallerContext:
        return CallerContext(
            caller_id=caller_id,
            caller_type=self.caller_type,
            scopes=self.scopes,
            tier=self.tier,
            tenant=self.tenant,
        )


class MembershipClient:
    """Asks the service. One shared client; a connection that the server closed meanwhile is tried a second time."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._url = f"{url.rstrip('/')}/auth"
        self._timeout_seconds = timeout_seconds
        self._http = httpx.AsyncClient(
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS),
        )
        self._failure: str | None = None
        self._since = time.monotonic()

    async def ask(self, key: str) -> Claims | None:
        """Return what is known of a key, None when it is refused. Raises MembershipUnavailableError."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                claims = _read(await self._post(key))
        except TimeoutError:
            raise self._down("no answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._down(type(error).__name__) from None
        except ValueError as error:
            raise self._down(str(error)) from None
        self._note(None)
        return claims

    def report(self) -> MembershipReport:
        """Tell how the last question went."""
        seconds = time.monotonic() - self._since
        return MembershipReport(
            kind="service", is_up=self._failure is None, since_seconds=seconds, detail=self._failure
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _post(self, key: str) -> httpx.Response:
        try:
            return await self._http.post(self._url, json={"api_key": key})
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            return await self._http.post(self._url, json={"api_key": key})

    def _down(self, reason: str) -> MembershipUnavailableError:
        self._note(reason)
        return MembershipUnavailableError(f"Membership does not answer ({reason}): try again", retry_after_seconds=5)

    def _note(self, failure: str | None) -> None:
        if (failure is None) is not (self._failure is None):
            self._since = time.monotonic()
            _log.warning("Membership: %s", failure or "answers again")
        self._failure = failure


def _read(answer: httpx.Response) -> Claims | None:
    """Return what an answer says. Raises ValueError when it says neither yes nor no."""
    if answer.status_code == 401:
        return None
    if answer.status_code != 200:
        raise ValueError(f"status {answer.status_code}")
    try:
        found = _Answer.model_validate_json(answer.content)
    except ValidationError:
        raise ValueError("an answer that is not its JSON") from None
    if not found.valid:
        return None
    known = set(CallerType)
    return Claims(
        caller_type=CallerType(found.caller_type) if found.caller_type in known else CallerType.UNKNOWN,
        scopes=frozenset(found.scopes or ()) | {Scope.CALLER},
        tier=found.tier,
        tenant=found.tenant,
    )
