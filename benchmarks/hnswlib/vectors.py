"""Real vectors: paragraphs of a folder of HTML pages, by the bundled model. Kept in a file: they take minutes."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.growth.chunks import Vectors
from cixml.model.encoder import MAX_TOKENS, Encoder
from cixml_assets.decoding import decode
from cixml_assets.extraction import extract
from resources.errors import ChunkingError

CHARACTERS = range(80, 600)
AT_ONCE = 32
_SEED = 1


def load_or_make(path: Path, folder: Path, count: int) -> Vectors:
    """Return at least `count` unit vectors. Raises BenchmarkError where there are not so many."""
    if not path.exists():
        np.save(path, _make(folder, count))
    found: Vectors = np.load(path)
    if len(found) < count:
        raise BenchmarkError(
            f"{path} has {len(found)} vectors, not {count}: remove it, or name a larger folder of pages"
        )
    return found


def _make(folder: Path, count: int) -> Vectors:
    texts = sorted(set(_paragraphs(folder, 2 * count)))
    random.Random(_SEED).shuffle(texts)
    encoder = Encoder()
    ids = sorted((each[:MAX_TOKENS] for each in encoder.tokenize(texts[:count])), key=len)
    made = []
    for first in range(0, len(ids), AT_ONCE):
        print(f"\r{first} of {len(ids)} paragraphs", end="", file=sys.stderr)
        made.append(encoder.encode(ids[first : first + AT_ONCE]))
    print(file=sys.stderr)
    vectors: Vectors = np.concatenate(made) if made else np.zeros((0, 0), np.float32)
    return vectors[np.random.default_rng(_SEED).permutation(len(vectors))]  # they were made by length


def _paragraphs(folder: Path, most: int) -> Iterator[str]:
    found = 0
    for page in sorted(folder.rglob("*.html")):
        try:
            text = extract(decode(page.read_bytes(), "text/html", None)).text
        except ChunkingError:
            continue
        for paragraph in map(str.strip, text.split("\n\n")):
            if len(paragraph) in CHARACTERS:
                found += 1
                yield paragraph
        if found >= most:
            return
