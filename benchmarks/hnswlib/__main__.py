"""`python -m benchmarks.hnswlib`: a corpus of real vectors that the product promotes, then both are asked in turns."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from pgvector.psycopg import register_vector, register_vector_async
from psycopg import AsyncConnection

from benchmarks import machine
from benchmarks.errors import BenchmarkError
from benchmarks.growth import MODEL, MODELS_FILE, chunks
from benchmarks.growth.chunks import Vectors
from benchmarks.hnswlib.sides import Asked, Bare, Library, Product, Side, recall, truth
from benchmarks.hnswlib.vectors import load_or_make
from benchmarks.pages import select
from benchmarks.percentiles import spread
from benchmarks.product import prepare, running
from benchmarks.servers import Gpu, embedding_server, page_server
from cixml.embedded.environment import read_env_file
from cixml.sample.server import PAGES
from resources.embedding.registry import load_registry
from resources.postgres.corpora import CorpusKey, serving_index

CORPUS = "hnswlib"
Json = dict[str, Any]


def main() -> int:
    """Return 0 when everything was measured."""
    try:
        found = _compare(_parse())
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


def _compare(options: argparse.Namespace) -> Json:
    stored = options.vectors // chunks.CHUNKS_PER_DOCUMENT * chunks.CHUNKS_PER_DOCUMENT
    vectors = load_or_make(options.file, options.pages, stored + options.queries)
    library = Library(vectors[:stored])
    model = load_registry(MODELS_FILE).get(MODEL)
    pages = select(PAGES, warm_up=1, small=2, bulk=1).small
    with (
        page_server(PAGES, 20, keep=False) as site,
        embedding_server(model, Gpu(tokens_per_second=80_000.0, latency_ms=8.0), keep=False) as gpu,
    ):
        home = prepare(site, gpu, host_concurrency=None)
        os.environ |= {"CIXML_EMBEDDING__MODELS_FILE": str(MODELS_FILE), "EMBEDDING_MODEL": MODEL}
        with running(home, keep=False) as product:
            environment = read_env_file(home)
            with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as owner:
                register_vector(owner)
                chunks.index(product, site, CORPUS, pages[0])
                chunks.fill(owner, CORPUS, stored, lambda first, count: vectors[first : first + count])
                chunks.index(product, site, CORPUS, pages[1])
                chunks.wait_for_graph(owner, CORPUS)
                row = owner.execute("SELECT owner FROM cixml.corpora WHERE name = %s", [CORPUS]).fetchone()
                assert row
            url = environment["CIXML_API__DATABASE_URL"]
            figures = asyncio.run(
                _measure(url, str(row[0]), library, vectors[:stored], vectors[stored:], options.rounds)
            )
    return {"command": machine.command_line(), "machine": machine.facts(), "chunks": stored, **figures}


async def _measure(url: str, caller_id: str, library: Library, stored: Vectors, queries: Vectors, rounds: int) -> Json:
    """Ask all in turns, round after round, so that a busy moment meets each of them."""
    connection = await AsyncConnection.connect(url, autocommit=True, prepare_threshold=0)  # as create_pool does
    async with connection:
        await register_vector_async(connection)
        index = await serving_index(connection, caller_id=caller_id, key=CorpusKey(owner=caller_id, name=CORPUS))
        assert index
        sides: list[Side] = [Product(connection, caller_id, index), Bare(connection, caller_id, index), library]
        asked: dict[tuple[str, int], list[Asked]] = defaultdict(list)
        for number in range(rounds + 1):
            for side in sides:
                for width in side.widths:
                    answers = await side.ask(queries, width)
                    if number:  # the first warms up
                        asked[side.name, width].append(answers)
    nearest = truth(stored, queries)
    figures = {
        side.name: {width: _figures(asked[side.name, width], nearest) for width in side.widths} for side in sides
    }
    return {
        "queries": len(queries),
        "rounds": rounds,
        "served_with_ef_search": index.ef_search,
        **figures,
        "at_equal_recall": {width: _equal(figures, width) for width in Product.widths},
    }


def _figures(answers: Sequence[Asked], nearest: Sequence[set[int]]) -> Json:
    number = sum(len(each.seconds) for each in answers)
    return {
        "recall_at_10": round(recall(answers[0].found, nearest), 4) if answers[0].found[0] else None,
        "ms": spread([second for each in answers for second in each.seconds], 99, digits=3),
        "server_cpu_ms": round(1000 * sum(each.server_cpu for each in answers) / number, 3),
        "own_cpu_ms": round(1000 * sum(each.own_cpu for each in answers) / number, 3),
    }


def _equal(figures: Json, width: int) -> Json | None:
    """Return the product over the library that finds no less, at the least width it does so; None where none does."""
    mine = figures[Product.name][width]
    for other_width in Library.widths:
        other = figures[Library.name][other_width]
        if other["recall_at_10"] >= mine["recall_at_10"]:
            cpu = mine["server_cpu_ms"] + mine["own_cpu_ms"]
            return {
                "recall_at_10": mine["recall_at_10"],
                "hnswlib_ef": other_width,
                "p50_ratio": round(mine["ms"]["p50"] / other["ms"]["p50"], 1),
                "cpu_ratio": round(cpu / other["own_cpu_ms"], 1),
            }
    return None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hnswlib",
        description="Compare the product's search by a graph with hnswlib. One JSON object on stdout.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add: Callable[..., Any] = parser.add_argument
    add("--file", type=Path, required=True, help="vectors of 384 dimensions (.npy), made there from --pages if missing")
    add("--pages", type=Path, default=PAGES, metavar="DIR", help="folder of real HTML pages")
    add("--vectors", type=int, default=6000, help="chunks of the corpus")
    add("--queries", type=int, default=200, help="vectors that are asked for and not stored")
    add("--rounds", type=int, default=5, help="rounds that count")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
