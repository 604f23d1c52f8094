"""One small page, submit to searchable, while more and more corpora (partitions) exist."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import psycopg

from benchmarks.counters import Counters
from benchmarks.growth import MODEL
from benchmarks.pages import Page
from benchmarks.percentiles import spread
from benchmarks.product import Product
from benchmarks.servers import Server, Site
from benchmarks.system import Json
from cixml.embedded.environment import read_env_file

_GAP_SECONDS = 0.3

_CORPORA = """
WITH corpus AS (
    INSERT INTO cixml.corpora (owner, name, partition_key)
    SELECT 'growth', 'corpus-' || n, 'corpus-' || n FROM generate_series(%(first)s::int, %(last)s::int) n
    RETURNING id
)
INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
SELECT corpus.id, m.id, '{"strategy": "recursive", "max_tokens": 512, "overlap_tokens": 64}', 'growth', m.relation,
       'exact', 'serving'
FROM corpus, cixml.models m WHERE m.name = %(model)s
"""

# What a registered partition is for Dagster.
_PARTITIONS = """
INSERT INTO dynamic_partitions (partitions_def_name, partition)
SELECT 'corpora', 'corpus-' || n FROM generate_series(%(first)s::int, %(last)s::int) n
"""


def measure(product: Product, site: Site, gpu: Server, pages: Sequence[Page], sizes: Sequence[int]) -> list[Json]:
    """Make corpora up to each size; then index each page of an equal share of `pages`, one job a page."""
    values = read_env_file(product.home)
    dagster_url = values["CIXML_DAGSTER__DATABASE_URL"].replace("postgresql+psycopg2://", "postgresql://", 1)
    share = len(pages) // (len(sizes) + 1)
    found = [{"corpora": 1} | _latency(product, site, gpu, pages[:share])]
    made = 0
    with (
        psycopg.connect(values["DATABASE_URL"], autocommit=True) as owner,
        psycopg.connect(dagster_url, autocommit=True) as dagster,
    ):
        owner.execute("INSERT INTO cixml.callers (caller_id, caller_type) VALUES ('growth', 'service')")
        for number, size in enumerate(sizes, start=1):
            print(f"corpora: {size}", file=sys.stderr)
            span = {"first": made + 1, "last": size}
            owner.execute(_CORPORA, span | {"model": MODEL})
            dagster.execute(_PARTITIONS, span)
            owner.execute("ANALYZE cixml.corpora, cixml.index_versions")
            dagster.execute("ANALYZE dynamic_partitions")
            made = size
            part = pages[number * share : (number + 1) * share]
            found.append({"corpora": size} | _latency(product, site, gpu, part))
    return found


def _latency(product: Product, site: Site, gpu: Server, pages: Sequence[Page]) -> Json:
    before = Counters.read(product, site, gpu)
    taken: list[float] = []
    for page in pages:
        outcome = product.run_job("growth-pages", [site.url_of(page.path)], poll_seconds=0.004, timeout_seconds=120)
        taken.append(outcome.searchable_seconds)
        time.sleep(_GAP_SECONDS)
    cpu = Counters.read(product, site, gpu).since(before).cpu_report(per=len(pages))
    return {"submit_to_searchable_ms": spread(taken), "cpu_ms_a_job": cpu["ms_each_all"]}
