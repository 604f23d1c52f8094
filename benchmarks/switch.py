"""`python -m benchmarks.switch`: search a corpus by several clients while its model is switched to and fro.

A switch is a re-embedding with the other model that serves when it is filled, or the way back to the one before; then
the other is dropped. Every answer is compared with brute force over the vectors of the model that it names: a score of
another model, a hit too few, or (without `--graph`) one that is not among the nearest makes it wrong. Prints one JSON
object; 1 is returned when an answer was wrong or an error.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, local

import httpx
import numpy as np
import numpy.typing as npt

from benchmarks import machine
from benchmarks.percentiles import spread
from benchmarks.synthetic import WORDS
from benchmarks.system import Json, wait_until
from cixml.client import Client
from cixml.client.given import PushedDocument
from cixml.client.index_types import IndexVersionDetail
from tests.fakes.embedding_server import EmbeddingServer
from tests.models import SECOND, SECOND_DIMENSION
from tests.stack import running_stack

CORPUS = "switched"
FIRST = "all-MiniLM-L6-v2"
MODELS = (FIRST, SECOND)
QUERIES = 500
TOP_K = 10
AT_ONCE = 200
IDLE_SEARCHES = 400
TOLERANCE = 0.002
"""What halfvec makes of a cosine."""
SWITCH_SECONDS = 120.0
_SEED = 3
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one search: texts and their scores by one model, or an error."""

    query: str
    seconds: float
    model: str = ""
    version: str = ""
    texts: Sequence[str] = ()
    scores: Sequence[float] = ()
    took_ms: dict[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(slots=True)
class Switches:
    """What the corpus was served by, and how long each switch took from its request on."""

    models: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


def main() -> int:
    """Return 0 when no answer was wrong and none an error."""
    options = _parse()
    texts = made_texts(options.documents)
    queries = made_texts(QUERIES, words=4)
    promote_rows = 100 if options.graph else 10**6
    with (
        EmbeddingServer(models=MODELS, dimensions={SECOND: SECOND_DIMENSION}, vectors="words") as server,
        running_stack(
            server, CIXML_SEARCH__PROMOTE_ROWS=str(promote_rows), CIXML_LIMITS__REQUESTS_PER_MINUTE="0"
        ) as stack,
    ):
        key = stack.new_key()
        with Client(stack.url, key) as client:
            store(client, texts)
            if options.graph:
                wait_until(
                    lambda: serving(client).kind == "hnsw",
                    "the corpus was not promoted",
                    poll_seconds=0.2,
                    timeout_seconds=SWITCH_SECONDS,
                )
            with searching(stack.url, key, options.clients) as search:
                idle = search([queries[n % QUERIES] for n in range(IDLE_SEARCHES)])
                answers, switches = search_while_switching(client, search, queries, options.searches)
        exact = {model: cosines(server.base_url, model, queries, texts) for model in MODELS}
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.switch", *sys.argv[1:]]),
        "machine": machine.facts(),
        "load_average_at_end": [round(value, 2) for value in os.getloadavg()],
        "documents": len(texts),
        "clients": options.clients,
        "is_by_graph": options.graph,
        "idle": times(idle),
        **report(answers, switches, exact, queries, texts, is_exact=not options.graph),
    }
    print(json.dumps(result, indent=1))
    return 1 if result["errors"] or result["wrong"] else 0


def made_texts(count: int, *, words: int = 40) -> list[str]:
    """Return texts that share words, each of its own."""
    chooser = random.Random(_SEED + words)
    return [f"{' '.join(chooser.choices(WORDS, k=words))} note {number}" for number in range(count)]


def store(client: Client, texts: Sequence[str]) -> None:
    documents = [PushedDocument(external_id=str(number), text=text) for number, text in enumerate(texts)]
    for at in range(0, len(documents), AT_ONCE):
        job = client.jobs.submit(CORPUS, documents=documents[at : at + AT_ONCE])
        assert client.jobs.wait(job.id, timeout_seconds=300).status == "succeeded"


class Search:
    """Searches by several clients at once, each with a connection of its own. Nothing is tried again."""

    def __init__(self, url: str, key: str, clients: ThreadPoolExecutor) -> None:
        self._url, self._key, self._clients = url, key, clients
        self._of_thread = local()
        self.opened: list[httpx.Client] = []

    def __call__(self, queries: Sequence[str]) -> list[Answer]:
        return list(self._clients.map(self._one, queries))

    def _one(self, query: str) -> Answer:
        started = time.perf_counter()
        answer = self._http().post(f"/v1/corpora/{CORPUS}/search", json={"query": query, "top_k": TOP_K})
        seconds = time.perf_counter() - started
        body = answer.json()
        if answer.status_code != 200:
            return Answer(query=query, seconds=seconds, error=f"{body['error_code']}: {body['detail']}")
        return Answer(
            query=query,
            seconds=seconds,
            model=body["query"]["model"],
            version=body["query"]["index_version"],
            texts=[each["text"] for each in body["results"]],
            scores=[each["score"] for each in body["results"]],
            took_ms=body["took_ms"],
        )

    def _http(self) -> httpx.Client:
        if not hasattr(self._of_thread, "http"):
            headers = {"Authorization": f"Bearer {self._key}"}
            self._of_thread.http = httpx.Client(base_url=self._url, headers=headers, timeout=30, trust_env=False)
            self.opened.append(self._of_thread.http)
        found: httpx.Client = self._of_thread.http
        return found


@contextmanager
def searching(url: str, key: str, clients: int) -> Iterator[Search]:
    with ThreadPoolExecutor(clients) as threads:
        search = Search(url, key, threads)
        yield search
    for http in search.opened:
        http.close()


def search_while_switching(
    client: Client, search: Search, queries: Sequence[str], searches: int
) -> tuple[list[Answer], Switches]:
    """Search so often while another thread switches; the last switch is waited for."""
    over = Event()
    with ThreadPoolExecutor(1) as beside:
        switching = beside.submit(switch, client, over)
        try:
            answers: list[Answer] = []
            while len(answers) < searches and not switching.done():
                answers += search([queries[(len(answers) + n) % QUERIES] for n in range(min(500, searches))])
                print(f"{len(answers)} searches", file=sys.stderr)
        finally:
            over.set()
        return answers, switching.result()


def switch(client: Client, over: Event) -> Switches:
    """Build by the other model and let it serve, go back, drop it; until it is over."""
    found = Switches()
    first = serving(client).id
    found.models[first] = FIRST
    while not over.is_set():
        started = time.perf_counter()
        other = client.index_versions.create(CORPUS, model=SECOND, activate="auto").id
        found.models[other] = SECOND
        _until_it_serves(client, other, started, found)
        started = time.perf_counter()
        client.index_versions.activate(CORPUS, first)
        _until_it_serves(client, first, started, found)
        client.index_versions.delete(CORPUS, other)
    return found


def serving(client: Client) -> IndexVersionDetail:
    return next(each for each in client.index_versions.list(CORPUS) if each.state == "serving")


def _until_it_serves(client: Client, version: str, started: float, found: Switches) -> None:
    while (state := client.index_versions.get(CORPUS, version).state) != "serving":
        if time.perf_counter() - started > SWITCH_SECONDS:
            raise TimeoutError(f"{version} is {state} after {SWITCH_SECONDS} s")
        time.sleep(0.1)
    found.seconds.append(time.perf_counter() - started)


def cosines(base_url: str, model: str, queries: Sequence[str], texts: Sequence[str]) -> Vectors:
    """Return the cosine of each query with each text, by the model itself."""
    near: Vectors = _embedded(base_url, model, queries) @ _embedded(base_url, model, texts).T
    return near


def _embedded(base_url: str, model: str, texts: Sequence[str]) -> Vectors:
    rows = []
    for at in range(0, len(texts), AT_ONCE):
        body = {"model": model, "input": list(texts[at : at + AT_ONCE])}
        answer = httpx.post(f"{base_url}/embeddings", json=body, trust_env=False, timeout=60).raise_for_status()
        rows += [each["embedding"] for each in answer.json()["data"]]
    return np.asarray(rows, dtype=np.float32)


def report(
    answers: Sequence[Answer],
    switches: Switches,
    exact: dict[str, Vectors],
    queries: Sequence[str],
    texts: Sequence[str],
    *,
    is_exact: bool,
) -> Json:
    """Judge every answer by brute force."""
    places = {text: number for number, text in enumerate(texts)}
    rows = {query: number for number, query in enumerate(queries)}
    errors, wrong = Counter(answer.error for answer in answers if answer.error), Counter[str]()
    recalls = []
    for answer in (each for each in answers if not each.error):
        if switches.models.get(answer.version) != answer.model:
            wrong["a version of another model is named"] += 1
            continue
        near = exact[answer.model][rows[answer.query]]
        own = near[[places[text] for text in answer.texts]]
        least = np.sort(near)[-TOP_K] - TOLERANCE
        found = int((own >= least).sum())
        recalls.append(found / TOP_K)
        if len(set(answer.texts)) < TOP_K:
            wrong["too few hits"] += 1
        elif np.abs(own - np.asarray(answer.scores)).max() > TOLERANCE:
            wrong["scores of another model"] += 1
        elif is_exact and found < TOP_K:
            wrong["not the nearest"] += 1
    return {
        "searches": len(answers),
        "errors": dict(errors),
        "wrong": dict(wrong),
        "recall_at_10": round(float(np.mean(recalls)), 4),
        "answered_by": dict(Counter(answer.model for answer in answers if not answer.error)),
        "switches": len(switches.seconds),
        "switch_s": spread(switches.seconds, 95),
        **times(answers),
    }


def times(answers: Sequence[Answer]) -> Json:
    """Return the times of searches, and where the slowest of them spent its own."""
    slowest = max(answers, key=lambda answer: answer.seconds)
    return {"ms": spread([answer.seconds for answer in answers], 99), "slowest_took_ms": slowest.took_ms}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.switch",
        description="Search while the model is switched to and fro. One JSON object on stdout.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--searches", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--documents", type=int, default=600, help="of one chunk each")
    parser.add_argument("--graph", action="store_true", help="by graphs in place of exact scans")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
