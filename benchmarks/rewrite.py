"""`python -m benchmarks.rewrite`: replace every text of a corpus with a graph again and again, while it is searched.

Each time the new texts stand beside the graph until another is built and flipped. Measured are how large the relation
is when that is done, against when it was new, what it cost, and what searches said meanwhile: an answer with a hit too
few, or with a score that is not the text's own, is wrong. Prints one JSON object; 1 is returned when an answer was
wrong or an error.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import psutil
import psycopg
from psycopg.rows import TupleRow

from benchmarks import machine
from benchmarks.percentiles import spread
from benchmarks.switch import (
    AT_ONCE,
    CORPUS,
    FIRST,
    QUERIES,
    TOLERANCE,
    TOP_K,
    Answer,
    Search,
    cosines,
    made_texts,
    searching,
    serving,
)
from benchmarks.system import Json
from cixml.client import Client
from cixml.client.given import PushedDocument
from resources.postgres import graph_upkeep
from resources.postgres.graph_upkeep import NOTHING, ServingGraph, Upkeep
from tests.fakes.embedding_server import EmbeddingServer
from tests.stack import Stack, running_stack

SETTLE_SECONDS = 300.0
QUIET_SECONDS = 5.0
"""A run asks for what the graph needs a moment after its job has ended."""
_OTHERS = """
SELECT c.id, EXISTS (SELECT FROM cixml.batches b WHERE b.corpus_id = c.id AND b.finished_at IS NULL)
    OR EXISTS (SELECT FROM cixml.index_versions v
               WHERE v.corpus_id = c.id AND v.state <> 'serving' AND v.released_at IS NULL)
FROM cixml.corpora c WHERE c.name = %s
"""
_SIZE = "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c WHERE c.relname = ANY (%s)"


def main() -> int:
    """Return 0 when no answer was wrong and none an error."""
    options = _parse()
    editions = [_edition(options.documents, number) for number in range(options.rewrites + 1)]
    queries = made_texts(QUERIES, words=4)
    threshold = options.documents // 4
    with (
        EmbeddingServer(models=(FIRST,), vectors="words") as server,
        running_stack(
            server,
            CIXML_SEARCH__PROMOTE_ROWS=str(threshold),
            CIXML_LIMITS__REQUESTS_PER_MINUTE="0",
        ) as stack,
        psycopg.connect(stack.values["DATABASE_URL"], autocommit=True) as owner,
    ):
        key = stack.new_key()
        with Client(stack.url, key) as client, searching(stack.url, key, options.clients) as search:
            rewrites = [_write(client, stack, owner, editions[0], threshold)]
            over = Event()
            with ThreadPoolExecutor(1) as beside:
                asking = beside.submit(_keep_searching, search, queries, over)
                try:
                    rewrites += [_write(client, stack, owner, texts, threshold) for texts in editions[1:]]
                finally:
                    over.set()
                answers = asking.result()
        texts = [text for edition in editions for text in edition]
        wrong, recall = _judge(answers, queries, texts, cosines(server.base_url, FIRST, queries, texts))
    errors = Counter(answer.error for answer in answers if answer.error)
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.rewrite", *sys.argv[1:]]),
        "machine": machine.facts(),
        "load_average_at_end": [round(value, 2) for value in os.getloadavg()],
        "documents": options.documents,
        "rewrites": rewrites,
        "bytes_ratio": round(rewrites[-1]["bytes"] / rewrites[0]["bytes"], 3),
        "searches": len(answers),
        "errors": dict(errors),
        "wrong": dict(wrong),
        "ms": spread([answer.seconds for answer in answers], 99),
        "least_hits": recall,
    }
    print(json.dumps(result, indent=1))
    return 1 if errors or wrong else 0


def _edition(documents: int, number: int) -> list[str]:
    return [f"{text} edition {number}" for text in made_texts(documents)]


def _write(
    client: Client, stack: Stack, owner: psycopg.Connection[TupleRow], texts: Sequence[str], threshold: int
) -> Json:
    """Store all texts in the place of what was there, and wait until the graph is of these alone."""
    before, started = _postgres_cpu(stack), time.perf_counter()
    documents = [PushedDocument(external_id=str(number), text=text) for number, text in enumerate(texts)]
    jobs = [
        client.jobs.submit(CORPUS, documents=documents[at : at + AT_ONCE]) for at in range(0, len(documents), AT_ONCE)
    ]
    for job in jobs:
        assert client.jobs.wait(job.id, timeout_seconds=SETTLE_SECONDS).status == "succeeded"
    stored, cpu = time.perf_counter() - started, _postgres_cpu(stack) - before
    graph = _settled(owner, threshold)
    settled = time.perf_counter() - started
    size = owner.execute(_SIZE, [[graph.relation, f"{graph.relation}_graph"]]).fetchone()
    assert size
    assert serving(client).kind == "hnsw"
    print(f"stored in {stored:.1f} s", file=sys.stderr)
    return {
        "stored_s": round(stored, 1),
        "postgres_cpu_ms_a_chunk": round(cpu / len(texts) * 1000, 2),
        "settled_s": round(settled, 1),
        "postgres_cpu_ms_a_chunk_settled": round((_postgres_cpu(stack) - before) / len(texts) * 1000, 2),
        "dead_rows": graph.dead_rows,
        "rows_beside": graph_upkeep.count_beside(owner, graph=graph),
        "bytes": size[0],
    }


def _settled(owner: psycopg.Connection[TupleRow], threshold: int) -> ServingGraph:
    """Wait until nobody works at the corpus and its graph needs nothing, for a while."""
    since, deadline = time.monotonic(), time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        row = owner.execute(_OTHERS, [CORPUS]).fetchone()
        assert row
        graph = graph_upkeep.serving_graph(owner, corpus_id=row[0])
        if row[1] or graph is None or _needs(owner, graph, threshold) != NOTHING:
            since = time.monotonic()
        elif time.monotonic() - since > QUIET_SECONDS:
            return graph
        time.sleep(0.5)
    raise TimeoutError(f"the graph is not settled after {SETTLE_SECONDS} s")


def _needs(owner: psycopg.Connection[TupleRow], graph: ServingGraph, threshold: int) -> Upkeep:
    return graph_upkeep.needs(graph, beside=graph_upkeep.count_beside(owner, graph=graph), threshold=threshold)


def _postgres_cpu(stack: Stack) -> float:
    """Return the CPU seconds of the server and of its backends, those that ended too."""
    server = psutil.Process(stack.pid("postgres"))
    own = server.cpu_times()
    children = [child.cpu_times() for child in server.children(recursive=True)]
    return own.children_user + own.children_system + sum(each.user + each.system for each in [own, *children])


def _keep_searching(search: Search, queries: Sequence[str], over: Event) -> list[Answer]:
    answers: list[Answer] = []
    while not over.wait(0.2):
        answers += search([queries[(len(answers) + n) % QUERIES] for n in range(8)])
    return answers


def _judge(
    answers: Sequence[Answer], queries: Sequence[str], texts: Sequence[str], near: np.ndarray
) -> tuple[Counter[str], int]:
    places = {text: number for number, text in enumerate(texts)}
    rows = {query: number for number, query in enumerate(queries)}
    wrong, least = Counter[str](), TOP_K
    for answer in (each for each in answers if not each.error):
        own = near[rows[answer.query]][[places[text] for text in answer.texts]]
        least = min(least, len(set(answer.texts)))
        if len(set(answer.texts)) < TOP_K:
            wrong["too few hits"] += 1
        elif np.abs(own - np.asarray(answer.scores)).max() > TOLERANCE:
            wrong["a score of another text"] += 1
    return wrong, least


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rewrite",
        description="Replace every text of a corpus again and again. One JSON object on stdout.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rewrites", type=int, default=5)
    parser.add_argument("--documents", type=int, default=4000, help="of one chunk each")
    parser.add_argument("--clients", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
