"""What the product's and Dagster's tables say about a job. Read only, as the owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from resources.identifiers import Prefix, parse_public_id

_OPEN = "SELECT count(*)::int FROM cixml.jobs WHERE id = ANY (%s) AND finished_at IS NULL"

# Leases are gone when a job has ended: its batches are those of its corpus while the item was open.
_ITEM_TIMES = """
SELECT i.created_at, b.created_at AS claimed_at, b.started_at AS begun_at, i.fetched_at, i.finished_at, b.run_id,
       i.status, i.attempts
FROM cixml.job_items i
JOIN LATERAL (
    SELECT * FROM cixml.batches b
    WHERE b.corpus_id = i.corpus_id AND b.created_at BETWEEN i.created_at AND i.finished_at
    ORDER BY b.created_at DESC LIMIT 1) b ON true
WHERE i.job_id = %s
"""

_BATCHES = """
SELECT count(*)::int AS runs, coalesce(max(b.items), 0)::int AS largest_items,
       count(*) FILTER (WHERE b.state = 'lost')::int AS lost
FROM cixml.batches b JOIN cixml.jobs j ON j.corpus_id = b.corpus_id
WHERE j.id = %s AND b.created_at BETWEEN j.created_at AND j.finished_at
"""

_FAILED = """
SELECT coalesce(error ->> 'code', 'unknown') AS code, count(*)::int AS items
FROM cixml.job_items WHERE job_id = ANY (%s) AND status = 'failed' GROUP BY 1
"""

_SESSIONS = "SELECT datname, sessions FROM pg_stat_database WHERE datname = ANY (%s)"

_RUNS = "SELECT count(*)::int FROM cixml.batches WHERE run_id IS NOT NULL"

# A run asks for the index before its batch is finished; the old version is released when its vectors have moved.
_INDEX = """
SELECT (SELECT v.kind FROM cixml.index_versions v WHERE v.corpus_id = j.corpus_id AND v.state = 'serving') AS kind,
       EXISTS (SELECT FROM cixml.batches b WHERE b.corpus_id = j.corpus_id AND b.finished_at IS NULL)
       OR EXISTS (SELECT FROM cixml.index_versions v WHERE v.corpus_id = j.corpus_id
                  AND (v.state = 'building' OR (v.state = 'retired' AND v.released_at IS NULL))) AS is_changing
FROM cixml.jobs j WHERE j.id = %s
"""

_REFILL = """
SELECT v.created_at, v.state_changed_at AS served_at, min(b.started_at) AS begun_at, count(b.id)::int AS runs
FROM cixml.index_versions v
JOIN cixml.batches b ON b.corpus_id = v.corpus_id AND b.kind = 'backfill' AND b.created_at >= v.created_at
WHERE v.id = %s AND v.state = 'serving'
GROUP BY v.id
"""

_RUN_EVENTS = """
SELECT e.dagster_event_type AS kind, e.step_key AS step, e.timestamp AT TIME ZONE 'UTC' AS at
FROM event_logs e WHERE e.run_id = %s AND e.dagster_event_type = ANY (%s) ORDER BY e.id
"""

_EVENTS = ["PIPELINE_STARTING", "PIPELINE_START", "STEP_START", "STEP_SUCCESS", "PIPELINE_SUCCESS"]


class Rows:
    """Two connections: the product's database and Dagster's."""

    def __init__(self, product: Connection[TupleRow], dagster: Connection[TupleRow]) -> None:
        self._product = product
        self._dagster = dagster

    def open_jobs(self, job_ids: Sequence[str]) -> int:
        return self._number(_OPEN, [[_row_id(job_id) for job_id in job_ids]])

    def item_times(self, job_id: str) -> dict[str, Any]:
        """Return the timestamps of a job of one item and of the batch that worked on it."""
        return self._one(_ITEM_TIMES, job_id)

    def batches(self, job_id: str) -> dict[str, Any]:
        return self._one(_BATCHES, job_id)

    def index(self, job_id: str) -> dict[str, Any]:
        """Return the kind of index that serves the job's corpus, and whether runs or a build still change it."""
        return self._one(_INDEX, job_id)

    def refill(self, version_id: str) -> dict[str, Any]:
        """Return when an index version was asked for, its first run began, and it served; empty before it does."""
        with self._product.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_REFILL, [parse_public_id(Prefix.VERSION, version_id)]).fetchone() or {}

    def failures(self, job_ids: Sequence[str]) -> dict[str, int]:
        """Return how many items of these jobs failed, by code."""
        return dict(self._product.execute(_FAILED, [[_row_id(job_id) for job_id in job_ids]]).fetchall())

    def sessions(self) -> dict[str, int]:
        """Return how many connections were ever opened, by database. Backends tell it a second late."""
        databases = [self._product.info.dbname, self._dagster.info.dbname]
        return dict(self._product.execute(_SESSIONS, [databases]).fetchall())

    def runs(self) -> int:
        return self._number(_RUNS, [])

    def run_events(self, run_id: str) -> Sequence[dict[str, Any]]:
        """Return the events of a run that say where its time went, in order."""
        with self._dagster.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_RUN_EVENTS, [run_id, _EVENTS]).fetchall()

    def _number(self, query: LiteralString, values: Sequence[object]) -> int:
        row = self._product.execute(query, values).fetchone()
        assert row
        return int(row[0])

    def _one(self, query: str, job_id: str) -> dict[str, Any]:
        with self._product.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, [_row_id(job_id)]).fetchone() or {}


def _row_id(job_id: str) -> UUID:
    return parse_public_id(Prefix.JOB, job_id)
