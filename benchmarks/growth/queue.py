"""Claim and status queries while more and more items wait. The worker is stopped, so nothing is claimed meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import UUID

import httpx
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from benchmarks.growth import MODEL
from benchmarks.percentiles import time_ms
from benchmarks.product import Product
from benchmarks.system import Json
from cixml import keys
from cixml.embedded.environment import read_env_file
from cixml.embedded.state import load_kept
from cixml.embedded.status import read_status
from cixml.embedded.supervisor import Control
from resources.postgres import batches, claims
from resources.settings import PipelineSettings, Settings
from sensors.planning import plan_batches

CALLERS = 100
URLS_PER_JOB = 1000
SLOTS = 16
_TIMES = 20
_numbers = count(1)

# One job of 1,000 pages at a time, callers in turn; the last caller's pages are all on one host.
_JOBS = """
WITH job AS (
    INSERT INTO cixml.jobs (caller_id, corpus_id, items_total, items_open)
    SELECT c.owner, c.id, %(urls)s::int, %(urls)s::int
    FROM generate_series(%(first)s::int, %(last)s::int) AS n
    JOIN cixml.corpora c ON c.name = 'growth' AND c.owner = 'growth-' || n %% %(callers)s::int
    RETURNING id, caller_id, corpus_id
), item AS (
    INSERT INTO cixml.job_items (job_id, caller_id, corpus_id, ordinal, url, url_key, host)
    SELECT j.id, j.caller_id, j.corpus_id, n, u.url, u.url, split_part(u.url, '/', 3)
    FROM job j, generate_series(1, %(urls)s::int) AS n,
         LATERAL (SELECT 'https://host-' || CASE WHEN j.caller_id = 'growth-0' THEN 0 ELSE n %% 50 END
                         || '.example.com/' || j.id || '/' || n AS url) u
    RETURNING id, caller_id, corpus_id, url_key, host
)
INSERT INTO cixml.work_queue (item_id, caller_id, corpus_id, url_key, host)
SELECT id, caller_id, corpus_id, url_key, host FROM item
"""

_CORPORA = """
WITH caller AS (
    INSERT INTO cixml.callers (caller_id, caller_type)
    SELECT 'growth-' || n, 'service' FROM generate_series(0, %(callers)s::int - 1) n
    RETURNING caller_id
), corpus AS (
    INSERT INTO cixml.corpora (owner, name, partition_key)
    SELECT caller_id, 'growth', 'growth-' || caller_id FROM caller
    RETURNING id
)
INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
SELECT corpus.id, m.id, '{"strategy": "recursive", "max_tokens": 512, "overlap_tokens": 64}', 'growth', m.relation,
       'exact', 'serving'
FROM corpus, cixml.models m WHERE m.name = %(model)s
"""


def measure(product: Product, sizes: list[int]) -> list[Json]:
    """Fill the queue to each size and measure there."""
    values = read_env_file(product.home)
    sockets = load_kept(product.home).sockets
    assert sockets
    control = Control(sockets)
    control.stop("worker")
    found = []
    with (
        psycopg.connect(values["DATABASE_URL"], autocommit=True) as owner,
        psycopg.connect(values["CIXML_PIPELINE__DATABASE_URL"]) as pipeline,
    ):
        owner.execute(_CORPORA, {"callers": CALLERS, "model": MODEL})
        loaded = 0
        for size in sizes:
            print(f"queue: {size} items", file=sys.stderr)
            while loaded < size:
                jobs = min(20, (size - loaded) // URLS_PER_JOB)
                first = loaded // URLS_PER_JOB
                owner.execute(
                    _JOBS, {"first": first, "last": first + jobs - 1, "callers": CALLERS, "urls": URLS_PER_JOB}
                )
                loaded += jobs * URLS_PER_JOB
            owner.execute("VACUUM ANALYZE cixml.jobs, cixml.job_items, cixml.work_queue")
            found.append({"items": size} | _pipeline(owner, pipeline) | _api(product))
    control.start("worker")
    return found


def _pipeline(owner: Connection[TupleRow], pipeline: Connection[TupleRow]) -> Json:
    settings = PipelineSettings()
    figures = {"claim_ms": time_ms(lambda: _claim(pipeline, settings), times=_TIMES)}
    with _held(owner, "host-0.example.com"):
        figures["claim_of_held_host_ms"] = time_ms(lambda: _claim(pipeline, settings), times=_TIMES)
    batch = owner.execute(
        "INSERT INTO cixml.batches (kind, corpus_id, items, lease_until) "
        "SELECT 'ingest', id, 1, now() FROM cixml.corpora WHERE owner = 'growth-1' RETURNING id"
    ).fetchone()
    assert batch
    figures["others_wait_ms"] = time_ms(lambda: _others_wait(pipeline, batch[0]), times=_TIMES)
    owner.execute("DELETE FROM cixml.batches WHERE id = %s", [batch[0]])
    return figures


def _claim(connection: Connection[TupleRow], settings: PipelineSettings) -> None:
    """Claim for `SLOTS` free slots, as the sensor does, and take it back."""
    claims.lock_claims(connection)
    claims.capacity(connection, small_batch_items=settings.small_batch_items)
    capacity = claims.Capacity(slots=SLOTS, open_batches=0, large_batches=0)
    items = claims.claimable_items(connection, models=[MODEL], limit=SLOTS * settings.batch_items * 4)
    planned = plan_batches(
        items, capacity, small_batch_items=settings.small_batch_items, batch_items=settings.batch_items
    )
    assert planned
    for batch in planned:
        claims.claim_batch(connection, corpus_id=batch.corpus_id, item_ids=batch.item_ids, dispatch_seconds=30.0)
    claims.seconds_to_next(connection)
    connection.rollback()


def _others_wait(connection: Connection[TupleRow], batch_id: UUID) -> None:
    assert batches.others_wait(connection, batch_id=batch_id)
    connection.rollback()


@contextmanager
def _held(owner: Connection[TupleRow], host: str) -> Iterator[None]:
    """All pages of one caller can't be fetched now."""
    owner.execute(
        "INSERT INTO cixml.hosts (host, not_before, reason) VALUES (%s, now() + interval '1 day', '')", [host]
    )
    yield
    owner.execute("DELETE FROM cixml.hosts WHERE host = %s", [host])


def _api(product: Product) -> Json:
    """Ask as the local caller, who has one job of 1,000 pages in the queue."""
    key = keys.local_key(product.home, Settings.load())
    urls = [f"https://example.com/{next(_numbers)}" for _ in range(URLS_PER_JOB)]
    job = product.client.jobs.submit("growth-api", urls).id
    with httpx.Client(
        base_url=read_status(product.home).api_url or "",
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
        timeout=60,
    ) as http:

        def get(path: str, **parameters: Any) -> Json:
            return time_ms(lambda: http.get(path, params=parameters).raise_for_status(), times=_TIMES)

        def post() -> None:
            body = {"corpus": "growth-api", "urls": [f"https://example.com/{next(_numbers)}"]}
            http.post("/v1/jobs", json=body).raise_for_status()

        return {
            "post_job_ms": time_ms(post, times=_TIMES),
            "get_job_ms": get(f"/v1/jobs/{job}"),
            "list_jobs_ms": get("/v1/jobs"),
            "list_jobs_by_status_ms": get("/v1/jobs", status="failed"),
            "list_items_ms": get(f"/v1/jobs/{job}/items"),
            "list_items_by_status_ms": get(f"/v1/jobs/{job}/items", status="failed"),
            "health_ms": get("/healthz"),
        }
