"""The same pages through extraction and chunking alone, one process a core: the floor that bulk is held against.

A process of its own, so that its workers fork from something small: `python -m benchmarks.alone`, pages on stdin.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from benchmarks.errors import BenchmarkError
from benchmarks.pages import Page, body_of
from cixml_assets.chunking import chunk_text
from cixml_assets.decoding import decode
from cixml_assets.extraction import extract
from resources.embedding.registry import Model
from resources.embedding.tokenizer import load_tokenizer
from resources.errors import ChunkingError
from resources.settings import PROJECT_ROOT
from resources.types import Chunking

_WARM_UP_PAGES = 3
_PAGES_A_HAND = 4
Json = dict[str, Any]


def measure(folder: Path, pages: Sequence[Page], model: Model, *, processes: int) -> Json:
    """Run it and return its figures."""
    sizes = (str(model.chunk_max_tokens), str(model.chunk_overlap_tokens))
    command = [sys.executable, "-m", __name__, str(folder), str(model.tokenizer_path), *sizes, str(processes)]
    given = json.dumps([[page.file, page.edition] for page in pages])
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT, check=False)
    if done.returncode:
        raise BenchmarkError("extraction alone ended with an error: see above")
    answer: Json = json.loads(done.stdout)
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What every process needs; inherited by the fork, because a tokenizer is large to send."""

    folder: Path
    tokenizer: Tokenizer
    chunking: Chunking

    def do(self, page: Page) -> tuple[int, int, str]:
        """Return chunks, tokens and the error's code of one page."""
        try:
            text = extract(decode(body_of(self.folder, page), "text/html", None)).text
            found = chunk_text(text, self.tokenizer, self.chunking)
        except ChunkingError as error:
            return 0, 0, error.code
        return len(found), sum(chunk.token_count for chunk in found), ""


_inherited: list[_Work] = []


def _one(page: Page) -> tuple[int, int, str]:
    return _inherited[0].do(page)


def main() -> None:
    """Read [[file, edition], ...] from stdin, print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("max_tokens", type=int)
    parser.add_argument("overlap_tokens", type=int)
    parser.add_argument("processes", type=int)
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread a process
    pages = [Page(file, edition) for file, edition in json.load(sys.stdin)]
    chunking = Chunking(max_tokens=options.max_tokens, overlap_tokens=options.overlap_tokens)
    _inherited.append(
        _Work(folder=options.folder, tokenizer=load_tokenizer(Path(options.tokenizer)), chunking=chunking)
    )
    for page in pages[:_WARM_UP_PAGES]:  # before the fork, so that every process is warm
        _one(page)
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        begun = time.perf_counter()
        found = list(pool.imap_unordered(_one, pages, chunksize=_PAGES_A_HAND))
        wall = time.perf_counter() - begun
        pool.close()
        pool.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    failed = [code for _, _, code in found if code]
    json.dump(
        {
            "processes": options.processes,
            "wall_s": round(wall, 2),
            "pages_a_s": round(len(pages) / wall, 2),
            "pages_a_s_if_alone": round(options.processes * len(pages) / (used.ru_utime + used.ru_stime), 2),
            "chunks": sum(chunks for chunks, _, _ in found),
            "tokens": sum(tokens for _, tokens, _ in found),
            "failed": {code: failed.count(code) for code in sorted(set(failed))},
            "cpu_ms_a_page": round(1000 * (used.ru_utime + used.ru_stime) / len(pages), 2),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
