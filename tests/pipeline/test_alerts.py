"""Faults, staged on the whole stack: every alert fires on its own and clears, every panel of the dashboards has data.

The play is given once, by a fixture; the tests read what was scraped meanwhile. At each scrape the clock runs a minute.
Ages that take an hour are made by moving the row's time back, and the age of a transaction by a faster clock; all else
is what the product does.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import psycopg
import pytest
import redis
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from resources.telemetry import metrics
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import Page, WebServer
from tests.json_client import JsonClient
from tests.observing import Prometheus, Rule, answers, panel_queries, rules
from tests.pipeline.test_main_job import page
from tests.stack import Stack, descendants, ended, poll

CORPUS = "observed"
RULES = {rule.name: rule for rule in rules()}


@dataclass
class Play:
    """The stack, what is scraped of it, and when which fault was staged."""

    stack: Stack
    site: WebServer
    server: EmbeddingServer
    key: str
    client: JsonClient
    http: httpx.Client
    prometheus: Prometheus
    staged: dict[str, tuple[int, int]] = field(default_factory=dict)
    began_ms: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.stack.values['CIXML_API__METRICS_PORT']}/metrics"

    def watch(self, minutes: int = 1, **faster: float) -> None:
        self.prometheus.scrape(self.metrics_url, times=minutes, faster=faster)

    @contextlib.contextmanager
    def fault(self, *alerts: str) -> Iterator[None]:
        """Stage a fault: these alerts are to fire before it is over."""
        began = self.prometheus.now_ms
        yield
        for alert in alerts:
            self.staged[alert] = (began, self.prometheus.now_ms)

    def urls(self, count: int, *, like: Callable[[int], Page] = page) -> list[str]:
        """Make new pages of the site."""
        numbers = [next(self._numbers) for _ in range(count)]
        self.site.pages |= {f"/p{number}": like(number) for number in numbers}
        return [f"{self.site.url}/p{number}" for number in numbers]

    def index(self, count: int, **more: Callable[[int], Page]) -> None:
        """Submit new pages and wait for the end of the job."""
        ended(self.client, self.client.submit(CORPUS, self.urls(count, **more))["id"])

    def search(self, count: int, *, mode: str = "dense") -> list[int]:
        """Ask new questions, all at once; return the statuses."""
        bodies = [{"query": f"fox number {next(self._numbers)}", "mode": mode} for _ in range(count)]
        return self.send([("POST", f"/v1/corpora/{CORPUS}/search", body) for body in bodies])

    def send(self, requests: Sequence[tuple[str, str, object]], *, key: str | None = None) -> list[int]:
        headers = {"Authorization": f"Bearer {key or self.key}"}

        def one(request: tuple[str, str, object]) -> int:
            method, path, body = request
            return self.http.request(method, path, json=body, headers=headers).status_code

        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(one, requests))

    def seen(self, query: str) -> Callable[[], bool]:
        """Return what says whether the query has an answer now. The clock of scrapes does not move."""
        return lambda: answers(self.prometheus.read(self.metrics_url), query)

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Stop a process and its children for a while, without killing them: they hang."""
        pid = self.stack.pid(name)
        pids = [pid, *descendants(pid)]
        for each in pids:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in pids:
                os.kill(each, signal.SIGCONT)

    def run_sql(self, statement: str, *, login: str = "CIXML_PIPELINE__DATABASE_URL") -> None:
        url = self.stack.values[login].replace("postgresql+psycopg2://", "postgresql://", 1)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def play(stack: Stack, embedding_server: EmbeddingServer) -> Iterator[Play]:
    """Give the whole play, once."""
    key = stack.new_key()
    with (
        WebServer() as site,
        stack.client(key) as client,
        httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as http,
    ):
        found = Play(
            stack=stack,
            site=site,
            server=embedding_server,
            key=key,
            client=client,
            http=http,
            prometheus=Prometheus(http),
        )
        try:
            for act in ACTS:
                act(found)
            found.watch(20)  # nothing is asked for and nothing is wrong
        finally:
            embedding_server.heal()
            embedding_server.come_back()
        yield found


def healthy(play: Play) -> None:
    """All goes well: what is counted once before counts as a rise from here on."""
    for _ in range(2):
        play.index(4)
        for mode in ("dense", "keyword", "hybrid"):
            assert set(play.search(2, mode=mode)) == {200}
        again = play.client.submit(CORPUS, [f"{play.site.url}/p0"])
        ended(play.client, again["id"])
        play.watch()
    play.began_ms = play.prometheus.now_ms


def refusing_site(play: Play) -> None:
    with play.fault("CixmlFetchesFail", "CixmlItemsFail"):
        for _ in range(2):
            play.index(15, like=lambda _: Page("<p>Go away.</p>", status=403))
            play.watch()
        play.watch(5)
    play.index(2)


def slow_embedding(play: Play) -> None:
    with play.fault("CixmlEmbeddingSlow", "CixmlSearchSlow"):
        play.server.latency_seconds = 0.8
        for _ in range(4):
            play.search(4)
            play.watch()
        play.watch(4)
    play.server.heal()


def no_embedding(play: Play) -> None:
    with play.fault("CixmlBreakerOpen", "CixmlSearchesFail", "CixmlApiFails"):
        play.server.go_down()
        play.client.submit(CORPUS, play.urls(2))
        for _ in range(3):
            assert 503 in play.search(16)
            play.watch()
        poll(play.seen('cixml_queue_depth{stage="embedding"} > 0'), "items that wait to be embedded")
        play.watch(2)
    play.server.come_back()  # the breaker lets somebody try in 10 s


def bad_keys(play: Play) -> None:
    with play.fault("CixmlCallersRefused"):
        for count in (90, 90):
            assert 429 in play.send([("GET", "/v1/quota", None)] * count, key="guessed")
            play.watch()
        play.watch(2)


def hung_worker(play: Play) -> None:
    """A worker hangs in the middle of a batch; while its lease runs out, the stores have trouble of their own."""
    job = play.client.submit(CORPUS, play.urls(1, like=lambda _: Page("<p>Slow.</p>", delay_seconds=20)))
    poll(play.seen('cixml_batches{state="running"} > 0'), "a batch under work")
    rescued = play.prometheus.value("sum(cixml_rescued_total)")
    with play.fault("CixmlNoWorker", "CixmlRunsLost", "CixmlQueueOld"), play.stopped("worker"):
        long_transaction(play)
        many_connections(play)
        full_redis(play)
        poll(play.seen("max(cixml_worker_slots) < 1"), "the worker's row to age")
        waiting = play.client.submit(CORPUS, play.urls(4))
        play.run_sql("UPDATE cixml.work_queue SET enqueued_at = now() - interval '1 hour'")
        poll(play.seen('cixml_queue_oldest_seconds{stage="scraping"} > 1800'), "the age of the queue")
        poll(play.seen(f"cixml_rescued_total > {rescued}"), "the batch to be taken over")
        play.watch(6)
    with play.fault("CixmlLongWaits"):
        ended(play.client, waiting["id"])
        play.watch(7)
    assert play.send([("POST", f"/v1/jobs/{job['id']}/cancel", {})]) == [202]
    ended(play.client, job["id"])


def long_transaction(play: Play) -> None:
    age = "cixml_postgres_oldest_transaction_seconds"
    many = "INSERT INTO cixml.hosts SELECT 'host ' || n, '-infinity', 'gone' FROM generate_series(1, 60000) AS n"
    with (
        play.fault("CixmlLongTransaction", "CixmlDeadRows"),
        psycopg.connect(play.stack.values["DATABASE_URL"]) as reader,
    ):
        reader.execute("SELECT pg_current_xact_id()")
        play.run_sql(many)
        play.run_sql("DELETE FROM cixml.hosts WHERE reason = 'gone'")
        poll(play.seen("cixml_postgres_dead_rows > 50000"), "dead rows in the statistics")
        play.watch(11, **{age: 1000.0})
    play.run_sql("VACUUM cixml.hosts", login="DATABASE_URL")


def many_connections(play: Play) -> None:
    with play.fault("CixmlConnectionsNearLimit"), contextlib.ExitStack() as sessions:
        url = play.stack.values["DATABASE_URL"]
        free = play.prometheus.value("max(cixml_postgres_connections_limit) - max(cixml_postgres_connections)")
        assert free
        for _ in range(int(free) - 20):
            sessions.enter_context(psycopg.connect(url))
        poll(play.seen("max(cixml_postgres_connections) > 170"), "the sessions")
        play.watch(4)


def full_redis(play: Play) -> None:
    with redis.Redis.from_url(play.stack.values["REDIS_URL"]) as client:
        limit = client.config_get("maxmemory")["maxmemory"]
        with play.fault("CixmlRedisFull"):
            client.config_set("maxmemory", full := int(1.1 * client.info("memory")["used_memory"]))
            poll(play.seen(f"cixml_redis_memory_limit_bytes <= {full}"), "the limit of Redis")
            play.watch(4)
            client.config_set("maxmemory", limit)
    with play.fault("CixmlPartDown"), play.stopped("redis"):
        for _ in range(2):
            play.search(1, mode="keyword")
            play.watch()
        poll(play.seen('cixml_up{part="redis"} < 1'), "Redis to be missed")
        play.watch(2)


def hung_keepers(play: Play) -> None:
    """Lifeline and Dagster's daemon hang: their rows are as old as if that were a while ago."""
    assert play.send([("POST", "/v1/corpora", {"name": "deleted"})]) == [201]
    with play.fault("CixmlLifelineSilent", "CixmlDeletionStuck"), play.stopped("lifeline"):
        assert play.send([("DELETE", "/v1/corpora/deleted", None)]) == [202]
        play.run_sql("UPDATE cixml.receipts SET requested_at = now() - interval '2 hours' WHERE finished_at IS NULL")
        play.run_sql("UPDATE cixml.beats SET seen_at = seen_at - interval '5 minutes'")
        poll(play.seen('cixml_heartbeat_age_seconds{part="lifeline"} > 60'), "lifeline to be missed")
        play.watch(8)
    moved = "UPDATE daemon_heartbeats SET timestamp = timestamp {} interval '10 minutes'"
    with play.fault("CixmlDaemonSilent"), play.stopped("daemon"):
        play.run_sql(moved.format("-"), login="CIXML_DAGSTER__DATABASE_URL")
        poll(play.seen('cixml_heartbeat_age_seconds{part="sensor"} > 180'), "the daemon to be missed")
        play.watch(3)
        play.run_sql(moved.format("+"), login="CIXML_DAGSTER__DATABASE_URL")
    poll(play.seen("max(cixml_deletions_open) < 1"), "the deletion to be done")
    poll(play.seen('max(cixml_heartbeat_age_seconds{part="sensor"}) < 60'), "the daemon's heartbeat")


def no_api(play: Play) -> None:
    with play.fault("CixmlTargetDown"):
        play.stack.kill("api")
        play.watch(3)
    poll(play.seen("cixml_up > 0"), "the API to come back")


def unwritten_audit(play: Play) -> None:
    age = "cixml_audit_unwritten_seconds"
    with play.fault("CixmlAuditUnwritten"), psycopg.connect(play.stack.values["DATABASE_URL"]) as holder:
        holder.execute("LOCK TABLE cixml.audit IN SHARE MODE")
        assert play.send([("GET", "/v1/quota", None)]) == [200]
        poll(play.seen(f"{age} > 1"), "a record that waits")
        play.watch(3, **{age: 1000.0})
    poll(play.seen(f"max({age}) < 1"), "the record to be written")


def counted_elsewhere(play: Play) -> None:
    """What the embedded stack has no part for, or no defect, another process counts: a file beside those of its own."""
    path = f"{play.stack.values['PROMETHEUS_MULTIPROC_DIR']}/counter_{os.getpid()}.db"
    with play.fault("CixmlMembershipDown", "CixmlOrphans"), contextlib.closing(MmapedDict(path)) as counted:  # type: ignore[no-untyped-call]
        for number in range(3):
            for counter, label in ((metrics.auth, "stale"), (metrics.orphans, "chunks")):
                name, help_text = f"{counter._name}_total", counter._documentation
                key = mmap_key(counter._name, name, list(counter._labelnames), [label], help_text)
                counted.write_value(key, float(number), 0.0)  # type: ignore[no-untyped-call]
            play.watch()


ACTS = (
    healthy,
    refusing_site,
    slow_embedding,
    no_embedding,
    bad_keys,
    hung_worker,
    hung_keepers,
    unwritten_audit,
    counted_elsewhere,
    no_api,
)


@pytest.mark.parametrize("name", RULES)
def test_an_alert_fires_on_its_fault_alone_and_clears(play: Play, name: str) -> None:
    rule: Rule = RULES[name]
    began, over = play.staged[name]
    prometheus = play.prometheus
    assert any(prometheus.is_firing(rule, at) for at in range(began, over + 1, 60_000))
    if name != "CixmlSearchSlow":  # a busy machine may be slow by itself
        assert not prometheus.is_firing(rule, play.began_ms)
    assert not prometheus.is_firing(rule)


@pytest.mark.parametrize(("name", "query"), panel_queries())
def test_a_panel_has_data(play: Play, name: str, query: str) -> None:
    last = play.prometheus.now_ms
    values = (value for at in range(last, play.began_ms, -60_000) for value in play.prometheus.ask(query, at).values())
    assert any(not math.isnan(value) for value in values), name


def test_no_fault_is_staged_for_an_alert_that_is_not_there(play: Play) -> None:
    assert set(play.staged) == set(RULES)
