"""`python -m benchmarks.retrieval FOLDER`: how good searches are, by nDCG@10 of each mode. One JSON object on stdout.

FOLDER holds a gold set: corpus.jsonl {id, title, text}, queries.jsonl {id, text}, qrels.tsv (query, document, grade;
with a head line). It is pushed to a running cixml (CIXML_URL, CIXML_API_KEY) and asked for there; any positive grade
counts as relevant, and a document is as good as its best chunk.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.errors import BenchmarkError
from benchmarks.percentiles import spread
from cixml import Client
from cixml.client.given import PushedDocument

MODES = ("dense", "keyword", "hybrid")
CHUNKS = 25
"""Asked for, so that ten documents are among them."""
AT_ONCE = 200
WAIT_SECONDS = 3600.0


def main() -> int:
    """Print the figures of a gold set."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", help="its name in cixml; by default the folder's")
    parser.add_argument("--queries", type=int, help="so many of them; by default all")
    options = parser.parse_args()
    name = options.corpus or options.folder.name.lower()
    try:
        with Client() as client:
            store(client, name, options.folder)
            print(json.dumps(measure(client, name, options.folder, options.queries)))
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def store(client: Client, corpus: str, folder: Path) -> None:
    """Push the documents that have a text; what is there already is unchanged and costs nothing."""
    documents = [
        PushedDocument(
            external_id=str(each["id"]), title=each["title"] or None, text=f"{each['title']}\n\n{each['text']}"
        )
        for each in rows(folder / "corpus.jsonl")
        if str(each["text"]).strip()
    ]
    jobs = [
        client.jobs.submit(corpus, documents=documents[at : at + AT_ONCE]) for at in range(0, len(documents), AT_ONCE)
    ]
    for job in jobs:
        ended = client.jobs.wait(job.id, timeout_seconds=WAIT_SECONDS)
        if ended.status != "succeeded":
            raise BenchmarkError(f"the job {job.id} is {ended.status}")


def measure(client: Client, corpus: str, folder: Path, most: int | None) -> dict[str, object]:
    """Return nDCG@10, and the times of the searches, of each mode."""
    relevant = read_relevant(folder / "qrels.tsv")
    queries = [each for each in rows(folder / "queries.jsonl") if relevant[str(each["id"])]][:most]
    figures: dict[str, object] = {"gold": folder.name, "queries": len(queries)}
    for mode in MODES:
        gains, seconds = [], []
        for each in queries:
            started = time.perf_counter()
            answer = client.search(corpus, str(each["text"]), top_k=CHUNKS, mode=mode)
            seconds.append(time.perf_counter() - started)
            found = list(dict.fromkeys(hit.external_id for hit in answer.results))
            gains.append(ndcg(found[:10], relevant[str(each["id"])]))
        figures[mode] = {"ndcg_at_10": round(fmean(gains), 4), "ms": spread(seconds, 99)}
    return figures


def ndcg(found: Sequence[str | None], relevant: set[str]) -> float:
    """Return the gain of a ranking over that of the best one, where what is relevant is equally so."""
    gain = sum(1 / math.log2(rank + 1) for rank, name in enumerate(found, start=1) if name in relevant)
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(10, len(relevant)) + 1))


def read_relevant(path: Path) -> defaultdict[str, set[str]]:
    """Return the relevant documents of each query."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for query, document, grade in lines(path):
        if int(grade) > 0:
            found[query].add(document)
    return found


def lines(path: Path) -> Iterable[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def rows(path: Path) -> Iterator[dict[str, object]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


if __name__ == "__main__":
    sys.exit(main())
