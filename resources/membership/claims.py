"""Membership by the service, with a memory: one question a minute and caller, and none for a while when it is down.

| last answer | its age | what happens |
|---|---|---|
| a caller | up to 60 s | served without a question |
| a caller | up to 15 minutes more | the service is asked; while it is down, served as it was known |
| refused | up to 5 s | refused without a question |
| none of these | | the service is asked; while it is down, MembershipUnavailableError |

The memory is this process's own and, shared by all, Redis under the HMAC of the key, signed with the pepper: who can
write to Redis can't make a caller. Without Redis it is the process's own alone. Of one key one question is under way.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from resources.errors import CacheUnavailableError, MembershipUnavailableError, UnauthenticatedError
from resources.membership.contract import MembershipReport, caller_id_of, is_key
from resources.membership.service import Claims
from resources.telemetry import metrics
from resources.types import CallerContext

FRESH_SECONDS = 60.0
REFUSED_SECONDS = 5.0
STALE_SECONDS = 900.0
AGAIN_SECONDS = 1.0
"""After a failed question callers that are known are served without another for so long: a timeout each would hurt."""
MOST_REMEMBERED = 10_000

_log = logging.getLogger("cixml.membership")


class ClaimStore(Protocol):
    """Keeps signed verdicts under a caller's id. Both raise CacheUnavailableError."""

    async def get(self, caller_id: str) -> bytes | None: ...
    async def put(self, caller_id: str, value: bytes, *, ttl_seconds: float) -> None: ...


class Service(Protocol):
    """What answers the questions."""

    async def ask(self, key: str) -> Claims | None: ...
    def report(self) -> MembershipReport: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What Membership said of a key, and when (seconds since the epoch). No claims: refused."""

    at: float
    claims: Claims | None

    @property
    def kept_seconds(self) -> float:
        return FRESH_SECONDS + STALE_SECONDS if self.claims else REFUSED_SECONDS


_VERDICT = TypeAdapter(Verdict)


class RememberingMembership:
    """The service behind its memory."""

    def __init__(
        self,
        service: Service,
        *,
        pepper: str,
        store: ClaimStore | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._pepper = pepper
        self._store = store
        self._clock = clock
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Verdict | None]] = {}
        self._ask_again_at = 0.0

    async def authenticate(self, key: str) -> CallerContext:
        """Return whose key this is. Raises UnauthenticatedError, or MembershipUnavailableError when it can't tell."""
        if not is_key(key):
            raise UnauthenticatedError
        caller_id = caller_id_of(key, self._pepper)
        known = self._known(caller_id)
        if known is None or not self._is_fresh(known):
            known = await self._shared(caller_id) or known
        if known is None or not self._is_fresh(known):
            known = await self._asked(caller_id, key, known)
        if known.claims is None:
            raise UnauthenticatedError
        return known.claims.of(caller_id)

    async def is_known(self, key: str) -> bool:
        """Tell whether the memory has the key as a caller's, fresh or stale."""
        if not is_key(key):
            return False
        caller_id = caller_id_of(key, self._pepper)
        known = self._known(caller_id) or await self._shared(caller_id)
        return known is not None and known.claims is not None

    def report(self) -> MembershipReport:
        """Tell how the last question went."""
        return self._service.report()

    async def aclose(self) -> None:
        """Close the service's connections."""
        await self._service.aclose()

    async def _asked(self, caller_id: str, key: str, known: Verdict | None) -> Verdict:
        """Return the service's verdict; while it is down, the one that is known."""
        serves_stale = known is not None and known.claims is not None
        if not serves_stale or self._clock() >= self._ask_again_at:
            verdict = await self._ask_once(caller_id, key)
            if verdict is not None:
                return verdict
            self._ask_again_at = self._clock() + AGAIN_SECONDS
            if known is not None and serves_stale:
                _log.warning("Membership is down: a caller known %.0f s ago is served", self._age(known))
        if known is not None and serves_stale:
            metrics.auth.labels("stale").inc()
            return known
        metrics.auth.labels("unavailable").inc()
        detail = self._service.report().detail or "it is not known why"
        raise MembershipUnavailableError(f"The identity of the caller can't be checked right now ({detail}).")

    async def _ask_once(self, caller_id: str, key: str) -> Verdict | None:
        """Ask, or wait for the question that is under way. Who goes away meanwhile ends it for nobody else."""
        task = self._asking.get(caller_id)
        if task is None:
            task = asyncio.create_task(self._ask(caller_id, key))
            self._asking[caller_id] = task
            task.add_done_callback(lambda _: self._asking.pop(caller_id, None))
        return await asyncio.shield(task)

    async def _ask(self, caller_id: str, key: str) -> Verdict | None:
        try:
            claims = await self._service.ask(key)
        except MembershipUnavailableError:
            return None
        verdict = Verdict(at=self._clock(), claims=claims)
        self._remember(caller_id, verdict)
        await self._share(caller_id, verdict)
        return verdict

    def _is_fresh(self, verdict: Verdict) -> bool:
        return self._age(verdict) < (FRESH_SECONDS if verdict.claims else REFUSED_SECONDS)

    def _age(self, verdict: Verdict) -> float:
        """Return its age; a time to come, as of a clock that was set, is an old one."""
        age = self._clock() - verdict.at
        return age if age >= -1 else FRESH_SECONDS + STALE_SECONDS

    def _known(self, caller_id: str) -> Verdict | None:
        verdict = self._verdicts.get(caller_id)
        return verdict if verdict and self._age(verdict) < verdict.kept_seconds else None

    def _remember(self, caller_id: str, verdict: Verdict) -> None:
        self._verdicts[caller_id] = verdict
        self._verdicts.move_to_end(caller_id)
        if len(self._verdicts) > MOST_REMEMBERED:
            self._verdicts.popitem(last=False)

    async def _shared(self, caller_id: str) -> Verdict | None:
        """Return what another process heard, if it is signed and of use."""
        if self._store is None:
            return None
        try:
            value = await self._store.get(caller_id)
        except CacheUnavailableError as error:
            self._alone(error)
            return None
        verdict = self._unsigned(caller_id, value) if value else None
        if verdict is None or self._age(verdict) >= verdict.kept_seconds:
            return None
        self._remember(caller_id, verdict)
        return verdict

    async def _share(self, caller_id: str, verdict: Verdict) -> None:
        if self._store is None:
            return
        value = _VERDICT.dump_json(verdict)
        try:
            signed = self._signature(caller_id, value) + value
            await self._store.put(caller_id, signed, ttl_seconds=verdict.kept_seconds)
        except CacheUnavailableError as error:
            self._alone(error)

    def _unsigned(self, caller_id: str, signed: bytes) -> Verdict | None:
        signature, value = signed[:32], signed[32:]
        if not hmac.compare_digest(signature, self._signature(caller_id, value)):
            return None
        try:
            return _VERDICT.validate_json(value)
        except ValidationError:  # of another version of this program
            return None

    def _signature(self, caller_id: str, value: bytes) -> bytes:
        return hmac.new(
            self._pepper.encode(), b"claims\0" + caller_id.encode() + b"\0" + value, hashlib.sha256
        ).digest()

    @staticmethod
    def _alone(error: CacheUnavailableError) -> None:
        metrics.redis_fallback.labels("claims").inc()
        _log.warning("claims are not shared: %s", error)
