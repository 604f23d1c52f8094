"""Random kills under a load of jobs, and what must hold at its end: a test in short, a benchmark in long.

Clients submit a job, wait for its end, submit the next; jobs of a corpus share pages. Meanwhile one thread kills, and
another looks for documents that show in part. Recovery from a kill is the later of two moments: the end of the last
item that was open at the kill (also where a later kill hit it again), and the end of the first job submitted after it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from queue import Empty, SimpleQueue
from statistics import quantiles

import psutil

from tests.books import UNDER_WAY, Books
from tests.fakes.embedding_server import EmbeddingServer, text_key
from tests.fakes.web_server import WebServer
from tests.recovery import Caller, Target
from tests.stack import Stack, poll

KINDS = (
    ("worker_child",),
    ("worker",),
    ("code_server", "worker"),
    ("api",),
    ("daemon",),
    ("code_server",),
    ("lifeline",),
    ("postgres",),
    ("redis",),
    ("extractor",),
    ("embedding",),
)
CALLERS = 4
JOBS_PER_CORPUS = 25
URLS_PER_JOB = (3, 6)
LOOK_SECONDS = 0.25
LATENCY_SECONDS = 0.2
"""Of the embedding server: there should be something in flight when a process dies."""
QUERY = "words of a page"
JOB_SECONDS = 300.0

ENDED_JOBS = "SELECT status, count(*) FROM cixml.jobs GROUP BY 1"
LAST_OPEN_ITEM = """
SELECT extract(epoch FROM max(finished_at))::float8 FROM cixml.job_items
WHERE created_at <= to_timestamp(%s) AND finished_at > to_timestamp(%s)
"""
FIRST_NEW_JOB = (
    "SELECT extract(epoch FROM min(finished_at))::float8 FROM cixml.jobs WHERE created_at > to_timestamp(%s)"
)
TEXTS = """
SELECT DISTINCT c.corpus_id, c.text FROM cixml.chunks c JOIN cixml.corpora k ON k.id = c.corpus_id
WHERE k.name LIKE 'chaos-%'
"""
TRIES = "SELECT max(attempts) FROM cixml.job_items"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much, and how bad."""

    jobs: int
    clients: int
    seed: int
    kill_every_seconds: float
    most_kills: int | None = None


@dataclass(kw_only=True)
class Kill:
    """One kill; `recovery_seconds` is known at the end."""

    victims: tuple[str, ...]
    at: float
    texts_in_flight: int
    recovery_seconds: float | None = None


@dataclass(kw_only=True)
class Report:
    """What came of it. `problems` is empty when nothing was lost, doubled, half visible or left open."""

    seconds: float
    jobs: dict[str, int]
    documents: int
    kills: list[Kill]
    recovery_p95_seconds: float | None
    recovery_max_seconds: float | None
    most_attempts: int
    texts_distinct: int
    texts_paid: int
    texts_in_flight_at_kills: int
    looks: int
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Submission:
    caller: int
    corpus: str
    urls: list[str]


def submissions(plan: Plan, urls: list[str]) -> list[Submission]:
    """Return the jobs in the order of submission; always two corpora or more are under way."""
    choice = random.Random(plan.seed)
    found = []
    for number in range(plan.jobs):
        corpus = number // (2 * JOBS_PER_CORPUS) * 2 + number % 2
        found.append(
            Submission(
                caller=corpus % CALLERS,
                corpus=f"chaos-{corpus}",
                urls=choice.sample(urls, choice.randint(*URLS_PER_JOB)),
            )
        )
    return found


class Chaos:
    """One load under kills on a running stack."""

    def __init__(self, stack: Stack, server: EmbeddingServer, site: WebServer, plan: Plan) -> None:
        self._stack, self._server, self._plan = stack, server, plan
        self._urls = [f"{site.url}{path}" for path in site.pages]
        self._submissions = submissions(plan, self._urls)
        self._keys = [stack.new_key() for _ in range(CALLERS)]
        self._waiting: SimpleQueue[Submission] = SimpleQueue()
        self._ended: Counter[str] = Counter()
        self._kills: list[Kill] = []
        self._target = Target(stack, server)
        self._is_over = threading.Event()
        self._problems: list[str] = []
        self._looks = 0

    def run(self) -> Report:
        """Index all pages undisturbed, then do the load under kills, then look at everything."""
        books = Books(self._stack)
        with Caller(self._stack) as caller:
            assert caller.ended(caller.submit("undisturbed", self._urls), seconds=JOB_SECONDS)["status"] == "succeeded"
        faultless = books.chunks("undisturbed")
        begun = time.monotonic()
        self._server.reset_stats()
        self._server.latency_seconds = LATENCY_SECONDS
        for submission in self._submissions:
            self._waiting.put(submission)
        with ThreadPoolExecutor(self._plan.clients + 2) as pool:
            others = [pool.submit(self._kill), pool.submit(self._look, Counter(url for url, _, _ in faultless))]
            clients = [pool.submit(self._submit) for _ in range(self._plan.clients)]
            try:
                for client in clients:
                    client.result()
            finally:
                self._is_over.set()
            for other in others:
                other.result()
        seconds = time.monotonic() - begun
        self._server.latency_seconds = 0.0
        report = self._report(books, seconds)
        self._check(books, faultless)
        books.close()
        return report

    def _submit(self) -> None:
        """Be a client until there is nothing left to submit."""
        callers = [Caller(self._stack, key) for key in self._keys]
        while True:
            try:
                submission = self._waiting.get_nowait()
            except Empty:
                break
            caller = callers[submission.caller]
            job_id = caller.submit(submission.corpus, submission.urls)
            job = caller.ended(job_id, seconds=JOB_SECONDS)
            self._ended[job["status"]] += 1
            if job["status"] != "succeeded":
                self._problems.append(f"{job_id} ended as {job['status']}: {job['error']}")
        for caller in callers:
            caller.close()

    def _kill(self) -> None:
        """Kill, at random intervals, each kind in its turn of a shuffled deck; stop before the load thins out."""
        choice = random.Random(self._plan.seed)
        for victims in cycle(choice.sample(KINDS, len(KINDS))):
            pause = self._plan.kill_every_seconds * choice.uniform(0.7, 1.3)
            if self._is_over.wait(pause) or self._waiting.empty() or len(self._kills) == self._plan.most_kills:
                return
            stats = self._server.stats
            in_flight = stats.in_flight * max(stats.batch_sizes, default=0)
            for name in victims:
                try:
                    self._target.kill(name)
                except psutil.NoSuchProcess:
                    continue  # it is just being started again
            self._kills.append(Kill(victims=victims, at=time.time(), texts_in_flight=in_flight))

    def _look(self, expected: Counter[str]) -> None:
        """Look all the time, in SQL and by searches, for a document that shows in part."""
        choice = random.Random(self._plan.seed)
        books = Books(self._stack)
        callers = [Caller(self._stack, key) for key in self._keys]
        while not self._is_over.wait(LOOK_SECONDS):
            self._looks += 1
            self._problems += [f"half visible: {row}" for row in books.half_visible()]
            submission = choice.choice(self._submissions[: max(1, self._ended.total())])
            hits = callers[submission.caller].search(submission.corpus, QUERY, top_k=100)
            for url, count in Counter(hit["url"] for hit in hits).items():
                if count != expected[url]:
                    self._problems.append(f"a search shows {count} of {expected[url]} chunks of {url}")
        for caller in callers:
            caller.close()
        books.close()

    def _report(self, books: Books, seconds: float) -> Report:
        poll(lambda: not books.ask(UNDER_WAY) and not books.open_runs(), "the end of all runs", timeout_seconds=180)
        for kill in self._kills:
            ends = [books.one(LAST_OPEN_ITEM, kill.at, kill.at), books.one(FIRST_NEW_JOB, kill.at)]
            if known := [end for end in ends if end is not None]:
                kill.recovery_seconds = round(max(known) - kill.at, 2)
        recoveries = sorted(kill.recovery_seconds for kill in self._kills if kill.recovery_seconds is not None)
        texts = [text for _, text in books.ask(TEXTS)]
        seen = self._server.stats.distinct
        return Report(
            seconds=round(seconds, 1),
            jobs=dict(self._ended),
            documents=books.one("SELECT count(*) FROM cixml.documents WHERE live_version_id IS NOT NULL"),
            kills=self._kills,
            recovery_p95_seconds=quantiles(recoveries, n=20)[-1] if len(recoveries) > 1 else None,
            recovery_max_seconds=recoveries[-1] if recoveries else None,
            most_attempts=books.one(TRIES),
            texts_distinct=len(texts),
            texts_paid=sum(seen[key] for key in {text_key(text) for text in texts}),
            texts_in_flight_at_kills=sum(kill.texts_in_flight for kill in self._kills),
            looks=self._looks,
            problems=self._problems,
        )

    def _check(self, books: Books, faultless: set[tuple[str, int, str]]) -> None:
        """Compare with what no kill disturbed. A job whose answer was lost counts too."""
        self._problems += [f"{name}: {rows[:5]}" for name, rows in books.wrong().items()]
        self._problems += [f"{count} jobs {status}" for status, count in books.ask(ENDED_JOBS) if status != "succeeded"]
        self._problems += [f"{child} outlived its parent" for child in self._target.orphans()]
        urls: dict[str, set[str]] = {}
        for submission in self._submissions:
            urls.setdefault(submission.corpus, set()).update(submission.urls)
        for corpus, submitted in urls.items():
            if books.chunks(corpus) != {row for row in faultless if row[0] in submitted}:
                self._problems.append(f"the chunks of {corpus} are not those of a faultless run")
