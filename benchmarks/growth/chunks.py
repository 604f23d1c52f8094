"""Search of corpora of more and more chunks, by 8 clients over HTTP. Their rows are made, their graphs are built by the
product: a page that goes live asks for the promotion, a run builds it and flips.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from benchmarks import search
from benchmarks.pages import Page
from benchmarks.product import Product
from benchmarks.servers import Server, Site
from benchmarks.system import Json, wait_until
from cixml.embedded.environment import read_env_file

DIMENSION = 384
CLUSTERS = 1000
CHUNKS_PER_DOCUMENT = 10
SEARCHES = 400
Vectors = npt.NDArray[np.float32]
Make = Callable[[int, int], Vectors]
"""Makes the vectors from one number on, so many."""
_SLICE = 20_000
_BUILD_TIMEOUT_SECONDS = 1800.0
_SEED = 7

_SERVING = """
SELECT v.corpus_id, v.chunking_fp, v.relation, v.kind FROM cixml.index_versions v
JOIN cixml.corpora c ON c.id = v.corpus_id WHERE c.name = %s AND v.state = 'serving'
"""

# Documents of a corpus, each with a live version and one chunk set; hashes are those of the chunks' numbers.
_ROWS = """
WITH numbered AS (
    SELECT n, uuidv7() AS document_id, uuidv7() AS version_id, nextval('cixml.fetch_seq') AS fetch_seq
    FROM generate_series(%(first)s::int, %(last)s::int) n
), body AS (
    INSERT INTO cixml.page_bodies (sha256, body) VALUES (sha256('growth'), 'growth') ON CONFLICT DO NOTHING
), document AS (
    INSERT INTO cixml.documents (id, corpus_id, url_key, url, host, live_version_id, fetch_seq, checked_at)
    SELECT document_id, %(corpus_id)s, u, u, 'example.com', version_id, fetch_seq, now()
    FROM numbered, LATERAL (SELECT 'https://example.com/' || n AS u)
), version AS (
    INSERT INTO cixml.document_versions (id, document_id, corpus_id, fetch_seq, body_sha256, body_bytes, final_url,
        http_status, content_type, fetched_at, title, language, text, text_sha256, live_from)
    SELECT version_id, document_id, %(corpus_id)s, fetch_seq, sha256('growth'), 6, 'https://example.com/' || n, 200,
        'text/html', now(), 'Page ' || n, 'en', '', sha256('growth'), now()
    FROM numbered
), chunk_set AS (
    INSERT INTO cixml.chunk_sets (document_version_id, corpus_id, chunking_fp, chunk_count, token_count)
    SELECT version_id, %(corpus_id)s, %(chunking_fp)s, %(chunks)s::int, 100 * %(chunks)s::int FROM numbered ORDER BY n
    RETURNING id, document_version_id
)
INSERT INTO cixml.chunks (chunk_set_id, ordinal, corpus_id, chunk_id, chunk_hash, start_offset, end_offset,
    token_count, text)
SELECT s.id, k, %(corpus_id)s, uuidv7(), md5(%(corpus_id)s::text || (n.n * %(chunks)s::int + k))::uuid, 0, 400, 100,
       repeat('some words of the text of a chunk ', 12)
FROM numbered n JOIN chunk_set s ON s.document_version_id = n.version_id, generate_series(0, %(chunks)s::int - 1) k
"""

_HASHES = "SELECT md5(%s::text || n)::uuid FROM generate_series(%s::int, %s::int) n"

_LEVELS = """
UPDATE cixml.corpus_levels SET documents = documents + %(documents)s::bigint,
    chunks = chunks + %(documents)s::bigint * %(chunks)s::int,
    tokens = tokens + 100 * %(documents)s::bigint * %(chunks)s::int
WHERE corpus_id = %(corpus_id)s
"""


def measure(product: Product, site: Site, gpu: Server, pages: list[Page], sizes: list[int]) -> list[Json]:
    """Make one corpus per size, let the product index it, search it. Two pages are used per size."""
    found = []
    with psycopg.connect(read_env_file(product.home)["DATABASE_URL"], autocommit=True) as owner:
        register_vector(owner)
        for size, first, second in zip(sizes, pages[::2], pages[1::2], strict=False):
            found.append(_measure(product, site, gpu, owner, size, first, second))
    return found


def _measure(
    product: Product,
    site: Site,
    gpu: Server,
    owner: Connection[TupleRow],
    size: int,
    first: Page,
    second: Page,
) -> Json:
    corpus = f"growth-{size}"
    print(f"chunks: {size}", file=sys.stderr)
    index(product, site, corpus, first)
    fill(owner, corpus, size, _clustered())
    exact = search.measure(product, site, gpu, SEARCHES // 10, corpus=corpus)
    begun = time.perf_counter()
    index(product, site, corpus, second)
    asked = time.perf_counter()
    wait_for_graph(owner, corpus)
    promoted = time.perf_counter()
    return {
        "chunks": size,
        "page_beside_s": round(asked - begun, 2),
        "promotion_s": round(promoted - asked, 1),
        "exact": exact,
        "hnsw": search.measure(product, site, gpu, SEARCHES, corpus=corpus),
    }


def index(product: Product, site: Site, corpus: str, page: Page) -> None:
    """Index one page: what asks for the corpus's graph, if it has grown."""
    product.run_job(corpus, [site.url_of(page.path)], poll_seconds=0.02, timeout_seconds=120)


def wait_for_graph(owner: Connection[TupleRow], corpus: str) -> None:
    """Wait until the corpus is served by its graph. Raises BenchmarkError."""
    wait_until(
        lambda: _serving(owner, corpus)[3] == "hnsw",
        f"the corpus {corpus} was not promoted",
        poll_seconds=0.2,
        timeout_seconds=_BUILD_TIMEOUT_SECONDS,
    )


def _serving(owner: Connection[TupleRow], corpus: str) -> tuple[Any, ...]:
    row = owner.execute(_SERVING, [corpus]).fetchone()
    assert row
    return row


def fill(owner: Connection[TupleRow], corpus: str, size: int, vectors: Make) -> None:
    """Add documents of CHUNKS_PER_DOCUMENT chunks, `size` chunks in all: page n // 10 has the n-th vector."""
    corpus_id, chunking_fp, relation, _ = _serving(owner, corpus)
    documents = size // CHUNKS_PER_DOCUMENT
    step = _SLICE // CHUNKS_PER_DOCUMENT
    parameters = {"corpus_id": corpus_id, "chunking_fp": chunking_fp, "chunks": CHUNKS_PER_DOCUMENT}
    for first in range(0, documents, step):
        last = min(first + step, documents) - 1
        owner.execute(_ROWS, parameters | {"first": first, "last": last})
    for first in range(0, documents * CHUNKS_PER_DOCUMENT, _SLICE):
        last = min(first + _SLICE, documents * CHUNKS_PER_DOCUMENT) - 1
        hashes = [row[0] for row in owner.execute(_HASHES, [corpus_id, first, last])]
        _store(owner, corpus_id, relation, hashes, vectors(first, len(hashes)))
    owner.execute(_LEVELS, parameters | {"documents": documents})
    owner.execute("VACUUM ANALYZE")


def _clustered() -> Make:
    """Return what makes unit vectors around centres, since texts are not spread evenly either."""
    random = np.random.default_rng(_SEED)
    centres = random.normal(size=(CLUSTERS, DIMENSION)).astype(np.float32)

    def make(_: int, count: int) -> Vectors:
        near = centres[random.integers(CLUSTERS, size=count)]
        near = near + 0.7 * random.normal(size=near.shape).astype(np.float32)
        unit: Vectors = near / np.linalg.norm(near, axis=1, keepdims=True)
        return unit

    return make


def _store(
    owner: Connection[TupleRow], corpus_id: UUID, relation: str, hashes: Sequence[UUID], vectors: Vectors
) -> None:
    """Through a stage: COPY does not go into a table with row-level security."""
    target = sql.Identifier("cixml", relation)
    with owner.transaction():
        owner.execute("CREATE TEMP TABLE stage (chunk_hash uuid, embedding halfvec) ON COMMIT DROP")
        with owner.cursor() as cursor, cursor.copy("COPY stage FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["uuid", "halfvec"])
            for chunk_hash, vector in zip(hashes, vectors, strict=True):
                copy.write_row((chunk_hash, HalfVector(vector)))
        owner.execute(sql.SQL("INSERT INTO {} SELECT %s, * FROM stage").format(target), [corpus_id])
