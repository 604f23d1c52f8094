"""The circuit breaker's rules inside one process: what decides while Redis is gone. The same rules as breaker.lua."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """The numbers of one breaker. `probe_seconds`: how long a probe may take before the next caller may try."""

    failure_threshold: int = 5
    window_seconds: float = 30.0
    reset_seconds: float = 10.0
    success_threshold: int = 2
    probe_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one step did. `wait_seconds`: how long until it is worth asking again, when not allowed. `age_seconds`: how
    long it is closed, or is not.
    """

    before: BreakerState
    state: BreakerState
    is_allowed: bool = False
    is_probe: bool = False
    wait_seconds: float = 0.0
    age_seconds: float = 0.0
    reason: str = ""


class LocalBreaker:
    """One process's breaker. Not for threads: it lives on one event loop and never waits."""

    def __init__(self, limits: BreakerLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._state = BreakerState.CLOSED
        self._since = clock()
        self._until = 0.0
        self._failures: list[float] = []
        self._successes = 0
        self._probe = ""
        self._probe_until = 0.0
        self._reason = ""

    def decide(self, decision: str, token: str, reason: str = "") -> Decision:
        """Take one step: allow, success, failure, release, or any other word to look only."""
        before = self._state
        is_allowed = is_probe = False
        if decision == "allow":
            is_allowed, is_probe = self._allow(token)
        elif decision == "success":
            self._succeed(token)
        elif decision == "failure":
            self._fail(token, reason)
        elif decision == "release" and self._holds_probe(token):
            self._give_back()
        return Decision(
            before=before,
            state=self._state,
            is_allowed=is_allowed,
            is_probe=is_probe,
            wait_seconds=0.0 if is_allowed else self._wait(),
            age_seconds=self._clock() - self._since,
            reason=self._reason,
        )

    def _allow(self, token: str) -> tuple[bool, bool]:
        now = self._clock()
        if self._state is BreakerState.OPEN and now >= self._until:
            self._enter(BreakerState.HALF_OPEN)
            self._successes = 0
            self._give_back()
        if self._state is BreakerState.CLOSED:
            return True, False
        if self._state is BreakerState.OPEN or now < self._probe_until:
            return False, False
        self._probe, self._probe_until = token, now + self._limits.probe_seconds
        return True, True

    def _succeed(self, token: str) -> None:
        if self._state is BreakerState.CLOSED:
            self._failures.clear()
        elif self._holds_probe(token):
            self._successes += 1
            self._give_back()
            if self._successes >= self._limits.success_threshold:
                self._enter(BreakerState.CLOSED)
                self._failures.clear()
                self._reason = ""

    def _fail(self, token: str, reason: str) -> None:
        now = self._clock()
        if self._state is BreakerState.CLOSED:
            kept = [at for at in self._failures if at > now - self._limits.window_seconds]
            self._failures = [*kept, now]
            if len(self._failures) >= self._limits.failure_threshold:
                self._open(reason)
        elif self._holds_probe(token):
            self._open(reason)

    def _open(self, reason: str) -> None:
        self._enter(BreakerState.OPEN)
        self._until = self._clock() + self._limits.reset_seconds
        self._failures.clear()
        self._reason = reason
        self._give_back()

    def _enter(self, state: BreakerState) -> None:
        if BreakerState.CLOSED in (state, self._state):
            self._since = self._clock()
        self._state = state

    def _holds_probe(self, token: str) -> bool:
        is_held = self._state is BreakerState.HALF_OPEN and self._probe == token != ""
        return is_held and self._clock() < self._probe_until

    def _give_back(self) -> None:
        self._probe, self._probe_until = "", 0.0

    def _wait(self) -> float:
        until = {BreakerState.OPEN: self._until, BreakerState.HALF_OPEN: self._probe_until}.get(self._state, 0.0)
        return max(0.0, until - self._clock())
