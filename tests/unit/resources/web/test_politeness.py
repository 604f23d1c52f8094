"""Gates of hosts: several processes' worth of them around one real Redis, and none."""

from __future__ import annotations

import asyncio
import gc
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import redis

from resources.cache.redis import Scripts, make_async_client
from resources.errors import HostPausedError
from resources.web import politeness
from resources.web.politeness import HostGates
from tests.fakes.valkey import ValkeyServer, running_valkey

HOST = ("example.com", 443)
MakeGates = Callable[..., HostGates]


class Load:
    """Counts how many turns are held at once, and when each began."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.starts: list[float] = []

    async def visit(
        self, gates: HostGates, seconds: float, *, delay_seconds: float = 0.0, host: tuple[str, int] = HOST
    ) -> None:
        async with gates.turn(host, delay_seconds=delay_seconds):
            self.starts.append(time.monotonic())
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(seconds)
            self.now -= 1


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as running:
        yield running


@pytest.fixture
async def make_gates(valkey: ValkeyServer) -> AsyncIterator[MakeGates]:
    """Return a maker of gates, each as of a process of its own."""
    with redis.Redis(port=valkey.port) as client:
        client.flushall()
    clients, made = [], []

    def make(concurrency: int, **options: int) -> HostGates:
        clients.append(make_async_client(valkey.url))
        made.append(HostGates(concurrency, scripts=Scripts(clients[-1]), **options))
        return made[-1]

    yield make
    for gates in made:
        await gates.aclose()
    for client in clients:
        await client.aclose()
    with warnings.catch_warnings():  # redis-py leaves a connection whose task is cancelled while it connects to this
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def slots_on_loan(valkey: ValkeyServer) -> int:
    with redis.Redis(port=valkey.port) as client:
        return sum(client.zcard(key) for key in client.keys("cixml:host:*:slots"))  # type: ignore[union-attr,misc]


async def test_processes_share_the_slots_of_a_host(valkey: ValkeyServer, make_gates: MakeGates) -> None:
    load, other = Load(), Load()
    processes = [make_gates(3) for _ in range(3)]
    visits = [load.visit(gates, 0.02) for gates in processes for _ in range(20)]
    visits += [other.visit(processes[0], 0.02, host=("other.example.com", 443)) for _ in range(3)]
    await asyncio.gather(*visits)
    assert (load.most, len(load.starts)) == (3, 60)
    assert len(other.starts) == 3
    assert slots_on_loan(valkey) == 0


async def test_crawl_delay_is_kept_over_processes(make_gates: MakeGates) -> None:
    load = Load()
    processes = [make_gates(4) for _ in range(3)]
    await asyncio.gather(*(load.visit(gates, 0.0, delay_seconds=0.1) for gates in processes for _ in range(3)))
    assert len(load.starts) == 9
    assert load.starts[-1] - load.starts[0] > 0.6  # 0.8 by the clock of Redis; each on its own would take 0.2


async def test_process_with_one_page_is_served_while_another_has_many(make_gates: MakeGates) -> None:
    load, late = Load(), Load()
    busy, modest = make_gates(2), make_gates(2)
    crowd = [asyncio.create_task(load.visit(busy, 0.01)) for _ in range(3000)]
    await wait_until(lambda: load.now == 2)
    await asyncio.wait_for(late.visit(modest, 0.0), 5)
    assert not all(task.done() for task in crowd)
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_page_costs_no_question_while_a_slice_lasts(
    make_gates: MakeGates, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates, load = make_gates(2), Load()
    asked = 0
    run = Scripts.run

    async def counting(self: Scripts, *arguments: object, **named: object) -> object:
        nonlocal asked
        asked += 1
        return await run(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Scripts, "run", counting)
    await asyncio.gather(*(load.visit(gates, 0.002) for _ in range(100)))
    assert load.most == 2
    assert asked < 40


async def test_slots_of_a_killed_process_are_free_again(
    valkey: ValkeyServer, make_gates: MakeGates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(politeness, "LOAN_SECONDS", 0.5)
    killed, living, load = make_gates(1), make_gates(1), Load()
    victim = asyncio.create_task(load.visit(killed, 60))
    await wait_until(lambda: load.now == 1)
    await killed.aclose()  # nobody keeps its loan any more
    await asyncio.wait_for(load.visit(living, 0.0), 5)
    assert load.most == 2  # the victim's page is still under way: its slot is not
    victim.cancel()


async def test_slow_page_keeps_its_slot(make_gates: MakeGates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(politeness, "LOAN_SECONDS", 0.6)
    monkeypatch.setattr(politeness, "KEEP_SECONDS", 0.1)
    slow, other, load = make_gates(1), make_gates(1), Load()
    await asyncio.gather(load.visit(slow, 1.5), load.visit(other, 0.0))
    assert load.most == 1


async def test_task_that_gives_up_waiting_keeps_nobody_waiting(valkey: ValkeyServer, make_gates: MakeGates) -> None:
    holder, quitter, other, load = make_gates(1), make_gates(1), make_gates(1), Load()
    first = asyncio.create_task(load.visit(holder, 0.2))
    await wait_until(lambda: load.now == 1)
    second = asyncio.create_task(load.visit(quitter, 60))
    await asyncio.sleep(0.1)
    second.cancel()
    await asyncio.wait_for(load.visit(other, 0.0), 5)
    await first
    assert slots_on_loan(valkey) == 0


async def test_host_that_asked_for_a_pause_is_left_alone_by_all(make_gates: MakeGates) -> None:
    told, other, load = make_gates(4), make_gates(4), Load()
    await told.hold(HOST, 60)
    for gates in (told, other):
        with pytest.raises(HostPausedError) as caught:
            await load.visit(gates, 0.0)
        assert 58 < (caught.value.retry_after_seconds or 0) <= 60
    await load.visit(other, 0.0, host=("other.example.com", 443))


async def test_short_pause_is_waited_for(make_gates: MakeGates) -> None:
    told, other, load = make_gates(4), make_gates(4), Load()
    await told.hold(HOST, 0.4)
    started = time.monotonic()
    await load.visit(other, 0.0)
    assert time.monotonic() - started > 0.35


async def test_without_redis_each_process_takes_its_part(valkey: ValkeyServer) -> None:
    with running_valkey() as gone:
        client = make_async_client(gone.url)
        gates, load = HostGates(4, scripts=Scripts(client), processes=2), Load()
        await asyncio.gather(*(load.visit(gates, 0.1) for _ in range(12)))
        assert load.most == 4
    load = Load()
    await asyncio.gather(*(load.visit(gates, 0.01) for _ in range(12)))
    assert load.most == 2
    await gates.hold(HOST, 60)
    with pytest.raises(HostPausedError):
        await load.visit(gates, 0.0)
    starts = Load()
    other = ("other.example.com", 443)
    await asyncio.gather(*(starts.visit(gates, 0.0, delay_seconds=0.1, host=other) for _ in range(3)))
    assert starts.starts[-1] - starts.starts[0] > 0.35  # the pause times the processes
    await gates.aclose()
    await client.aclose()


async def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
