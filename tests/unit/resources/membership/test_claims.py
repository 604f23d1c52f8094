"""Membership with a memory: how long a verdict counts, who is served while the service is down, what Redis holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from resources.cache.claims import RedisClaims
from resources.cache.redis import make_async_client
from resources.errors import MembershipUnavailableError, UnauthenticatedError
from resources.membership.claims import FRESH_SECONDS, REFUSED_SECONDS, STALE_SECONDS, RememberingMembership
from resources.membership.contract import caller_id_of
from resources.membership.service import MembershipClient
from tests.fakes.membership_server import MembershipServer
from tests.fakes.valkey import ValkeyServer, running_valkey

PEPPER = "pepper"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[MembershipServer]:
    with MembershipServer() as found:
        found.keys["secret"] = {"caller_type": "service", "tenant": "t1"}
        yield found


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as found:
        yield found


class World:
    """Processes of the API in front of one service and one Redis, and their clock."""

    def __init__(self, server: MembershipServer, valkey: ValkeyServer) -> None:
        self.clock = Clock()
        self.redis = make_async_client(valkey.url)
        self._server = server
        self._made: list[RememberingMembership] = []

    def process(self, *, with_redis: bool = True, pepper: str = PEPPER) -> RememberingMembership:
        made = RememberingMembership(
            MembershipClient(self._server.url, timeout_seconds=1.0),
            pepper=pepper,
            store=RedisClaims(self.redis) if with_redis else None,
            clock=self.clock,
        )
        self._made.append(made)
        return made

    async def close(self) -> None:
        for made in self._made:
            await made.aclose()
        await self.redis.aclose()


@pytest_asyncio.fixture
async def world(server: MembershipServer, valkey: ValkeyServer) -> AsyncIterator[World]:
    found = World(server, valkey)
    await found.redis.flushall()
    yield found
    await found.close()


async def test_a_caller_is_asked_for_once_a_minute(server: MembershipServer, world: World) -> None:
    membership = world.process()
    for _ in range(3):
        assert (await membership.authenticate("secret")).tenant == "t1"
    assert len(server.asked) == 1
    world.clock.now += FRESH_SECONDS - 1
    await membership.authenticate("secret")
    assert len(server.asked) == 1
    world.clock.now += 1
    await membership.authenticate("secret")
    assert len(server.asked) == 2


async def test_a_revoked_key_is_refused_within_a_minute_in_every_process(
    server: MembershipServer, world: World
) -> None:
    first, second = world.process(), world.process()
    await first.authenticate("secret")
    await second.authenticate("secret")
    assert len(server.asked) == 1  # the second took it from Redis
    del server.keys["secret"]
    world.clock.now += FRESH_SECONDS
    for membership in (first, second):
        with pytest.raises(UnauthenticatedError):
            await membership.authenticate("secret")
    assert len(server.asked) == 2  # ... the refusal too


async def test_a_refusal_counts_for_seconds(server: MembershipServer, world: World) -> None:
    membership = world.process()
    for _ in range(3):
        with pytest.raises(UnauthenticatedError):
            await membership.authenticate("new")
    assert len(server.asked) == 1
    server.keys["new"] = {}
    world.clock.now += REFUSED_SECONDS
    assert await membership.authenticate("new")


async def test_a_hundred_requests_at_once_ask_once_and_one_that_goes_away_ends_none(
    server: MembershipServer, world: World
) -> None:
    server.delay_seconds = 0.2
    membership = world.process()
    first = asyncio.create_task(membership.authenticate("secret"))
    others = [asyncio.create_task(membership.authenticate("secret")) for _ in range(99)]
    while not server.asked:
        await asyncio.sleep(0.005)
    first.cancel()
    assert {caller.tenant for caller in await asyncio.gather(*others)} == {"t1"}
    assert len(server.asked) == 1


@pytest.mark.parametrize("with_redis", [True, False])
async def test_known_callers_are_served_for_a_quarter_of_an_hour_and_unknown_ones_told_to_come_back(
    server: MembershipServer, world: World, with_redis: bool
) -> None:
    membership = world.process(with_redis=with_redis)
    await membership.authenticate("secret")
    server.broken = (503, b"")
    world.clock.now += FRESH_SECONDS + STALE_SECONDS - 1
    assert (await membership.authenticate("secret")).tenant == "t1"
    with pytest.raises(MembershipUnavailableError) as raised:
        await membership.authenticate("stranger")
    assert raised.value.retry_after_seconds > 0
    world.clock.now += 1
    with pytest.raises(MembershipUnavailableError):
        await membership.authenticate("secret")


async def test_a_new_process_knows_the_callers_of_the_others_while_the_service_is_down(
    server: MembershipServer, world: World
) -> None:
    await world.process().authenticate("secret")
    server.stop()
    world.clock.now += FRESH_SECONDS + 1
    assert (await world.process().authenticate("secret")).tenant == "t1"


async def test_an_outage_asks_once_a_second_for_known_callers_and_a_refusal_is_obeyed_at_once(
    server: MembershipServer, world: World
) -> None:
    membership = world.process()
    await membership.authenticate("secret")
    server.broken = (500, b"")
    world.clock.now += FRESH_SECONDS
    for _ in range(5):
        await membership.authenticate("secret")
    assert len(server.asked) == 2
    server.broken = None
    del server.keys["secret"]
    world.clock.now += 1
    with pytest.raises(UnauthenticatedError):
        await membership.authenticate("secret")
    server.broken = (500, b"")
    world.clock.now += REFUSED_SECONDS
    with pytest.raises(MembershipUnavailableError):  # refused once, it is no longer a known caller
        await membership.authenticate("secret")


async def test_an_outage_is_never_kept_as_a_refusal(server: MembershipServer, world: World) -> None:
    membership = world.process()
    server.broken = (200, b"<html>")
    with pytest.raises(MembershipUnavailableError):
        await membership.authenticate("secret")
    server.broken = None
    assert await membership.authenticate("secret")


async def test_redis_holds_neither_the_key_nor_anything_that_another_may_write(
    server: MembershipServer, world: World
) -> None:
    await world.process().authenticate("secret")
    [name] = await world.redis.keys()
    value = await world.redis.get(name)
    assert name.decode() == f"cixml:claims:{caller_id_of('secret', PEPPER)}"
    assert b"secret" not in value
    assert await world.redis.ttl(name) > FRESH_SECONDS
    thief = f"cixml:claims:{caller_id_of('guess', PEPPER)}"
    for forged in (value, value[:32] + value[32:].replace(b"t1", b"t2"), b"", b"x" * 40):
        await world.redis.set(thief, forged)
        world.clock.now += REFUSED_SECONDS
        with pytest.raises(UnauthenticatedError):
            await world.process().authenticate("guess")


async def test_without_redis_the_process_remembers_for_itself(
    server: MembershipServer, world: World, valkey: ValkeyServer
) -> None:
    membership = world.process()
    valkey.stop()
    try:
        for _ in range(3):
            await membership.authenticate("secret")
        assert await membership.is_known("secret")
        assert len(server.asked) == 1
    finally:
        valkey.start()


async def test_a_key_is_known_in_every_process_as_long_as_its_verdict_is_kept(
    server: MembershipServer, world: World
) -> None:
    first, second = world.process(), world.process()
    assert not await first.is_known("secret")
    await first.authenticate("secret")
    with pytest.raises(UnauthenticatedError):
        await first.authenticate("other")
    world.clock.now += FRESH_SECONDS + 1
    assert [await each.is_known("secret") for each in (first, second)] == [True, True]
    assert [await each.is_known("other") for each in (first, second)] == [False, False]
    assert len(server.asked) == 2
    world.clock.now += STALE_SECONDS
    assert not await first.is_known("secret")


@pytest.mark.parametrize("key", ["", "sécret", "x" * 600])
async def test_what_is_no_key_is_not_asked_for(server: MembershipServer, world: World, key: str) -> None:
    membership = world.process()
    with pytest.raises(UnauthenticatedError):
        await membership.authenticate(key)
    assert not await membership.is_known(key)
    assert server.asked == []
