"""The breaker: its rules as a state machine over the script and the local form, and many callers on a real server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from resources.cache.redis import Scripts, make_async_client
from resources.embedding import breaker as breaker_module
from resources.embedding.breaker import CircuitBreaker, Permit, breaker_limits
from resources.embedding.breaker_local import BreakerLimits, BreakerState, LocalBreaker
from resources.errors import BreakerOpenError, CacheUnavailableError
from resources.settings import EmbeddingSettings
from tests.fakes.valkey import ValkeyServer, running_valkey

LIMITS = BreakerLimits(failure_threshold=3, window_seconds=10, reset_seconds=5, success_threshold=2, probe_seconds=4)
SCRIPT = breaker_module._SCRIPT
# The script under a clock that the test moves: TIME answers what stands in a key, everything else is the server's own.
CLOCKED_SCRIPT = (
    "local real = redis\n"
    "local redis = {call = function(name, ...)\n"
    "  if name == 'TIME' then local ms = tonumber(real.call('GET', 'clock'));"
    " return {tostring(math.floor(ms / 1000)), tostring((ms % 1000) * 1000)} end\n"
    "  return real.call(name, ...) end}\n" + SCRIPT
)


@dataclass
class Rules:
    """The breaker in the plainest words, to hold the two real ones against. Times in ms."""

    now: int = 1_000_000
    state: str = "closed"
    failed_at: list[int] = field(default_factory=list)
    opened_at: int = 0
    good_probes: int = 0
    probe: str | None = None
    probe_at: int = 0

    def allow(self, token: str) -> tuple[bool, bool]:
        if self.state == "open" and self.now - self.opened_at >= 5000:
            self.state, self.good_probes, self.probe = "half_open", 0, None
        if self.state == "closed":
            return True, False
        if self.state == "half_open" and (self.probe is None or self.now - self.probe_at >= 4000):
            self.probe, self.probe_at = token, self.now
            return True, True
        return False, False

    def is_live_probe(self, token: str) -> bool:
        return self.state == "half_open" and self.probe == token and self.now - self.probe_at < 4000

    def success(self, token: str) -> None:
        if self.state == "closed":
            self.failed_at.clear()
        elif self.is_live_probe(token):
            self.good_probes, self.probe = self.good_probes + 1, None
            if self.good_probes == 2:
                self.state = "closed"

    def failure(self, token: str) -> None:
        if self.state == "closed":
            self.failed_at.append(self.now)
            if sum(self.now - at < 10_000 for at in self.failed_at) < 3:
                return
        elif not self.is_live_probe(token):
            return
        self.state, self.opened_at, self.probe = "open", self.now, None
        self.failed_at.clear()

    def release(self, token: str) -> None:
        if self.is_live_probe(token):
            self.probe = None


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, answers and pauses leads the script and the local breaker where the rules lead."""

    port = 0
    permits: Bundle[str] = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.rules = Rules()
        self.local = LocalBreaker(LIMITS, clock=lambda: self.rules.now / 1000)
        self.redis = redis.Redis(port=self.port)
        self.redis.flushall()
        self.script = self.redis.register_script(CLOCKED_SCRIPT)
        self.made = 0
        self.set_clock()

    def teardown(self) -> None:
        self.redis.close()

    def set_clock(self) -> None:
        self.redis.set("clock", self.rules.now)

    def run_script(self, decision: str, token: str) -> list[bytes | int]:
        arguments = [decision, token, "why", 3, 10_000, 5000, 2, 4000]
        answer: list[bytes | int] = self.script(keys=["breaker", "failures"], args=arguments)
        return answer

    @rule(target=permits)
    def ask_and_keep(self) -> str:
        return self.ask()

    def ask(self) -> str:
        self.made += 1
        token = f"token-{self.made}"
        expected = self.rules.allow(token)
        decision = self.local.decide("allow", token)
        answer = self.run_script("allow", token)
        assert (decision.is_allowed, decision.is_probe) == expected
        assert (bool(answer[2]), bool(answer[4])) == expected
        assert expected[0] or decision.wait_seconds > 0
        assert round(decision.wait_seconds * 1000) == answer[3]
        return token

    def report(self, token: str, outcome: str) -> None:
        getattr(self.rules, outcome)(token)
        self.local.decide(outcome, token, "why")
        self.run_script(outcome, token)

    @rule(token=consumes(permits), outcome=st.sampled_from(["success", "failure", "release"]))
    def answer_late(self, token: str, outcome: str) -> None:
        self.report(token, outcome)

    @rule(times=st.integers(1, 3), outcome=st.sampled_from(["failure", "failure", "success"]))
    def call(self, times: int, outcome: str) -> None:
        """Ask and answer at once: without it, random steps seldom open the breaker."""
        for _ in range(times):
            self.report(self.ask(), outcome)

    @rule()
    def wait_for_half_open(self) -> None:
        self.wait(5000)

    @rule(milliseconds=st.sampled_from([1, 3999, 4000, 5000, 10_000]))
    def pause(self, milliseconds: int) -> None:
        self.wait(milliseconds)

    def wait(self, milliseconds: int) -> None:
        self.rules.now += milliseconds
        self.set_clock()

    @invariant()
    def all_three_agree(self) -> None:
        assert self.local.decide("look", "").state == self.rules.state
        looked = self.run_script("look", "")
        assert looked[1] == self.rules.state.encode()
        assert (looked[6] == b"why") == (self.rules.state != "closed")


def test_the_script_and_the_local_breaker_follow_the_rules(valkey: ValkeyServer) -> None:
    class Machine(BreakerMachine):
        port = valkey.port

    case = Machine.TestCase
    case.settings = settings(
        max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    case("runTest").runTest()


@pytest.fixture
async def scripts(valkey: ValkeyServer) -> AsyncIterator[Scripts]:
    client = make_async_client(valkey.url)
    await client.flushall()
    yield Scripts(client)
    await client.aclose()


def make_breaker(scripts: object, limits: BreakerLimits, model_id: str = "model-a") -> CircuitBreaker:
    return CircuitBreaker(scripts, base_url="http://gpu/v1", model_id=model_id, limits=limits)  # type: ignore[arg-type]


async def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        await breaker.failure(await breaker.allow(), "embedding_unavailable")


async def until_allowed(breaker: CircuitBreaker) -> Permit:
    deadline = time.monotonic() + 5
    while True:
        try:
            return await breaker.allow()
        except BreakerOpenError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def test_breaker_opens_after_five_failures_and_says_when_to_come_back(scripts: Scripts) -> None:
    breaker = make_breaker(scripts, BreakerLimits())
    await fail(breaker, 5)
    with pytest.raises(BreakerOpenError) as caught:
        await breaker.allow()
    assert 9 < caught.value.retry_after_seconds <= 10
    report = await breaker.state()
    assert (report.state, report.reason, report.is_shared) == (BreakerState.OPEN, "embedding_unavailable", True)
    assert breaker.last_state is BreakerState.OPEN


async def test_breaker_stays_closed_while_answers_come_between_failures(scripts: Scripts) -> None:
    breaker = make_breaker(scripts, BreakerLimits())
    for _ in range(5):
        await fail(breaker, 4)
        await breaker.success(await breaker.allow())
    assert (await breaker.state()).state is BreakerState.CLOSED


async def test_breaker_forgets_failures_that_are_older_than_the_window(scripts: Scripts) -> None:
    breaker = make_breaker(scripts, BreakerLimits(failure_threshold=2, window_seconds=0.05))
    await fail(breaker, 1)
    await asyncio.sleep(0.1)
    await fail(breaker, 1)
    assert (await breaker.state()).state is BreakerState.CLOSED


async def test_one_process_opens_it_for_all(scripts: Scripts) -> None:
    one, other = make_breaker(scripts, BreakerLimits()), make_breaker(scripts, BreakerLimits())
    await fail(one, 5)
    with pytest.raises(BreakerOpenError):
        await other.allow()


async def test_each_model_has_its_own(scripts: Scripts) -> None:
    await fail(make_breaker(scripts, BreakerLimits()), 5)
    permit = await make_breaker(scripts, BreakerLimits(), "model-b").allow()
    assert not permit.is_probe


async def test_half_open_lets_one_probe_through_at_a_time_over_all_callers(valkey: ValkeyServer) -> None:
    limits = BreakerLimits(failure_threshold=1, reset_seconds=0.1, success_threshold=3)
    clients = [make_async_client(valkey.url) for _ in range(8)]
    await clients[0].flushall()
    breakers = [make_breaker(Scripts(client), limits) for client in clients]
    await fail(breakers[0], 1)
    under_way = most = probes = 0

    async def call(breaker: CircuitBreaker) -> None:
        nonlocal under_way, most, probes
        permit = await until_allowed(breaker)
        if not permit.is_probe:
            return
        probes += 1
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        await breaker.success(permit)

    await asyncio.gather(*(call(breakers[i % 8]) for i in range(80)))
    assert (most, probes) == (1, 3)
    assert (await breakers[5].state()).state is BreakerState.CLOSED
    for client in clients:
        await client.aclose()


async def test_a_failed_probe_opens_it_again(scripts: Scripts) -> None:
    breaker = make_breaker(scripts, BreakerLimits(failure_threshold=1, reset_seconds=0.1))
    await fail(breaker, 1)
    probe = await until_allowed(breaker)
    assert probe.is_probe
    await breaker.failure(probe, "embedding_unavailable")
    assert (await breaker.state()).state is BreakerState.OPEN


@pytest.mark.parametrize("is_shared", [True, False])
async def test_it_tells_since_when_the_server_is_away_however_often_it_was_tried(
    scripts: Scripts, is_shared: bool
) -> None:
    limits = BreakerLimits(failure_threshold=1, reset_seconds=0.05, success_threshold=1)
    breaker = make_breaker(scripts if is_shared else None, limits)
    await fail(breaker, 1)
    for _ in range(3):
        permit = await until_allowed(breaker)
        await breaker.failure(permit, "timeout")
    with pytest.raises(BreakerOpenError) as refused:
        await breaker.allow()
    assert refused.value.outage_seconds >= 0.15
    assert (await breaker.state()).since_seconds >= 0.15
    await breaker.success(await until_allowed(breaker))
    assert (await breaker.state()).since_seconds < 0.15


async def test_a_probe_that_never_answers_loses_its_turn(scripts: Scripts) -> None:
    breaker = make_breaker(scripts, BreakerLimits(failure_threshold=1, reset_seconds=0.05, probe_seconds=0.1))
    await fail(breaker, 1)
    lost = await until_allowed(breaker)
    second = await until_allowed(breaker)
    assert second.is_probe
    assert second.token != lost.token
    await breaker.success(lost)
    with pytest.raises(BreakerOpenError):
        await breaker.allow()


async def test_a_released_probe_leaves_its_place_to_the_next(scripts: Scripts) -> None:
    breaker = make_breaker(scripts, BreakerLimits(failure_threshold=1, reset_seconds=0.05))
    await fail(breaker, 1)
    await breaker.release(await until_allowed(breaker))
    assert (await breaker.allow()).is_probe


async def test_without_redis_the_same_numbers_hold_in_the_process(caplog: pytest.LogCaptureFixture) -> None:
    with running_valkey() as server:
        client = make_async_client(server.url)
        breaker = make_breaker(Scripts(client), BreakerLimits())
        await breaker.allow()
        server.stop()
        with caplog.at_level(logging.WARNING, "cixml.embedding"):
            await fail(breaker, 5)
            with pytest.raises(BreakerOpenError):
                await breaker.allow()
        assert not (await breaker.state()).is_shared
        assert sum("this process's own meanwhile" in message for message in caplog.messages) == 1
        await client.aclose()


async def test_redis_is_asked_again_when_it_is_back() -> None:
    class Flaky:
        def __init__(self) -> None:
            self.calls, self.is_gone = 0, True

        async def run(self, script: str, *, keys: Sequence[str], arguments: Sequence[str | int]) -> list[bytes | int]:
            self.calls += 1
            if self.is_gone:
                raise CacheUnavailableError
            return [b"closed", b"closed", 1, 0, 0, 0, b""]

    now = 100.0
    flaky = Flaky()
    breaker = CircuitBreaker(flaky, base_url="u", model_id="m", limits=BreakerLimits(), clock=lambda: now)
    for _ in range(5):
        await breaker.allow()
    assert flaky.calls == 1, "a dead Redis is not asked for each call"
    now += 3
    flaky.is_gone = False
    await breaker.allow()
    assert (await breaker.state()).is_shared


async def test_a_wiped_redis_leaves_it_closed(scripts: Scripts, valkey: ValkeyServer) -> None:
    breaker = make_breaker(scripts, BreakerLimits())
    await fail(breaker, 5)
    with redis.Redis(port=valkey.port) as client:
        client.flushall()
        client.script_flush()
    permit = await breaker.allow()
    assert not permit.is_probe


def test_the_window_holds_two_calls_that_time_out() -> None:
    limits = breaker_limits(EmbeddingSettings(timeout_seconds=60, breaker_window_seconds=30))
    assert limits.window_seconds == 120
