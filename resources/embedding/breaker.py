"""The circuit breaker of the embedding server, shared by every process through Redis.

One Lua script a decision, so that half-open lets exactly one probe through over all processes. While Redis is gone
the same rules decide inside the process. Nothing here raises because of Redis.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Protocol
from uuid import uuid4

from resources.embedding.breaker_local import BreakerLimits, BreakerState, Decision, LocalBreaker
from resources.errors import BreakerOpenError, CacheUnavailableError
from resources.settings import EmbeddingSettings
from resources.telemetry import metrics

REDIS_PAUSE_SECONDS = 2.0
"""After Redis did not answer, decide locally for so long before asking it again: a dead server costs a second a try."""

_log = logging.getLogger("cixml.embedding")
_SCRIPT = files("resources.embedding").joinpath("breaker.lua").read_text(encoding="utf-8")


class ScriptRunner(Protocol):
    """What the breaker needs of Redis. Raises CacheUnavailableError; `resources.cache.redis.Scripts` is one."""

    async def run(self, script: str, *, keys: Sequence[str], arguments: Sequence[str | int]) -> list[bytes | int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to make one call; give it back by `success`, `failure` or `release`."""

    token: str
    is_probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerReport:
    """For /healthz and metrics. `reason` is the code of the failure that opened it; `is_shared` says Redis answers."""

    state: BreakerState
    since_seconds: float
    retry_after_seconds: float
    reason: str
    is_shared: bool


def breaker_limits(settings: EmbeddingSettings) -> BreakerLimits:
    """Return the configured numbers.

    The window is at least two calls long: where a server takes connections and never answers, each failure comes a
    whole timeout after the last one, and a shorter window would never hold enough of them.
    """
    return BreakerLimits(
        failure_threshold=settings.breaker_failure_threshold,
        window_seconds=max(settings.breaker_window_seconds, 2 * settings.timeout_seconds),
        reset_seconds=settings.breaker_reset_seconds,
        success_threshold=settings.breaker_success_threshold,
    )


class CircuitBreaker:
    """One breaker per (base_url, model). Async; belongs to one event loop."""

    def __init__(
        self,
        scripts: ScriptRunner | None,
        *,
        base_url: str,
        model_id: str,
        limits: BreakerLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        digest = hashlib.sha256(f"{base_url.rstrip('/')}\0{model_id}".encode()).hexdigest()[:32]
        # The braces keep both keys on one node of a Redis cluster.
        self._keys = (f"cixml:breaker:{{{digest}}}", f"cixml:breaker:{{{digest}}}:failures")
        self._scripts = scripts
        self._limits = limits
        self._clock = clock
        self._local = LocalBreaker(limits, clock=clock)
        self._redis_again_at = 0.0
        self._is_shared = scripts is not None
        self._last_state = BreakerState.CLOSED
        self.model_id = model_id

    @property
    def last_state(self) -> BreakerState:
        """Return the state this process saw last, without asking: for the gauge."""
        return self._last_state

    @property
    def probe_seconds(self) -> float:
        """Return how long a probe may take before the breaker lets another caller try."""
        return self._limits.probe_seconds

    async def allow(self) -> Permit:
        """Return leave for one call. Raises BreakerOpenError with the seconds after which to ask again."""
        token = uuid4().hex
        decision = await self._decide("allow", token)
        if decision.is_allowed:
            return Permit(token=token, is_probe=decision.is_probe)
        raise BreakerOpenError(
            f"The circuit breaker of {self.model_id} is {decision.state.value}: the embedding server failed "
            f"({decision.reason or 'unknown'}); it is tried again by itself",
            # A waiting caller of half_open need not sit out the probe's whole lease: probes end in a moment.
            retry_after_seconds=max(0.5, min(decision.wait_seconds, self._limits.reset_seconds)),
            outage_seconds=decision.age_seconds,
        )

    async def success(self, permit: Permit) -> None:
        """Say that the server answered; an answer that refuses the request (most 4xx) is one too."""
        await self._decide("success", permit.token)

    async def failure(self, permit: Permit, reason: str) -> None:
        """Say that the server failed. `reason` is an error code, shown in reports."""
        await self._decide("failure", permit.token, reason)

    async def release(self, permit: Permit) -> None:
        """Say that the call ended without telling anything, as when it was cancelled."""
        if permit.is_probe:
            await self._decide("release", permit.token)

    async def state(self) -> BreakerReport:
        """Look without changing anything."""
        decision = await self._decide("look", "")
        return BreakerReport(
            state=decision.state,
            since_seconds=decision.age_seconds,
            retry_after_seconds=decision.wait_seconds,
            reason=decision.reason,
            is_shared=self._is_shared,
        )

    async def _decide(self, decision: str, token: str, reason: str = "") -> Decision:
        taken = await self._decide_shared(decision, token, reason)
        if taken is None:
            taken = self._local.decide(decision, token, reason)
        self._last_state = taken.state
        if taken.state is not taken.before:
            _log.warning(
                "breaker of %s: %s -> %s %s", self.model_id, taken.before.value, taken.state.value, taken.reason
            )
        return taken

    async def _decide_shared(self, decision: str, token: str, reason: str) -> Decision | None:
        """Return Redis's decision, or None when it is gone."""
        if self._scripts is None or self._clock() < self._redis_again_at:
            return None
        limits = self._limits
        numbers = (limits.window_seconds, limits.reset_seconds, limits.probe_seconds)
        window, reset, probe = (max(1, round(seconds * 1000)) for seconds in numbers)
        try:
            answer = await self._scripts.run(
                _SCRIPT,
                keys=self._keys,
                arguments=[
                    decision, token, reason, limits.failure_threshold, window, reset, limits.success_threshold, probe
                ],
            )  # fmt: skip
        except CacheUnavailableError as error:
            self._go_local(error)
            return None
        if not self._is_shared:
            self._is_shared = True
            _log.warning("breaker of %s: Redis is back, its state is shared again", self.model_id)
        return _read_answer(answer)

    def _go_local(self, error: CacheUnavailableError) -> None:
        self._redis_again_at = self._clock() + REDIS_PAUSE_SECONDS
        metrics.redis_fallback.labels("breaker").inc()
        if self._is_shared:
            self._is_shared = False
            _log.warning("breaker of %s: %s; its state is this process's own meanwhile", self.model_id, error)


def _read_answer(answer: Sequence[bytes | int]) -> Decision:
    before, state, allowed, wait_ms, is_probe, age_ms, reason = answer
    return Decision(
        before=BreakerState(_text(before)),
        state=BreakerState(_text(state)),
        is_allowed=bool(allowed),
        is_probe=bool(is_probe),
        wait_seconds=int(wait_ms) / 1000,
        age_seconds=int(age_ms) / 1000,
        reason=_text(reason),
    )


def _text(value: bytes | str | int) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
