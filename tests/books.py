"""What must be true of a stack's rows whatever died, asked of Postgres by the owner's login."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

from tests.stack import Stack

LIVE = """
WITH live AS (
    SELECT k.owner, k.name, k.id AS corpus_id, d.url, s.id AS chunk_set_id, s.chunk_count
    FROM cixml.corpora k
    JOIN cixml.documents d ON d.corpus_id = k.id AND d.live_version_id IS NOT NULL
    JOIN cixml.index_versions v ON v.corpus_id = k.id AND v.state = 'serving'
    LEFT JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = v.chunking_fp
), piece AS (
    SELECT l.owner, l.name, l.corpus_id, l.url, c.ordinal, c.chunk_hash
    FROM live l JOIN cixml.chunks c ON c.chunk_set_id = l.chunk_set_id
)
"""
CHUNKS = LIVE + "SELECT url, ordinal, chunk_hash::text FROM piece WHERE name = %s"
HALF_VISIBLE = (
    LIVE
    + """
SELECT l.url FROM live l
WHERE l.chunk_set_id IS NULL
   OR l.chunk_count <> (SELECT count(*) FROM cixml.chunks c WHERE c.chunk_set_id = l.chunk_set_id)
   OR EXISTS (SELECT FROM cixml.chunks c WHERE c.chunk_set_id = l.chunk_set_id AND NOT EXISTS (
        SELECT FROM {relation} r WHERE r.corpus_id = c.corpus_id AND r.chunk_hash = c.chunk_hash))
"""
)
STRAY_VECTORS = LIVE + "SELECT corpus_id, chunk_hash FROM {relation} EXCEPT SELECT corpus_id, chunk_hash FROM piece"
WRONG_LEDGER_ROWS = (
    LIVE
    + """, paid AS (SELECT caller_id, chunk_hash FROM cixml.usage_ledger)
(SELECT owner, chunk_hash, 'missing' FROM piece EXCEPT SELECT caller_id, chunk_hash, 'missing' FROM paid)
UNION ALL (SELECT caller_id, chunk_hash, 'stray' FROM paid EXCEPT SELECT owner, chunk_hash, 'stray' FROM piece)
"""
)
WRONG_USAGE = """
WITH counted AS (SELECT caller_id, sum(embedding_tokens) AS tokens, sum(pages) AS pages FROM cixml.usage
                 WHERE operation = 'index' GROUP BY 1),
     paid AS (SELECT caller_id, sum(tokens) AS tokens FROM cixml.usage_ledger GROUP BY 1),
     ended AS (SELECT caller_id, count(*) FILTER (WHERE fetched_at IS NOT NULL AND http_status < 400) AS pages
               FROM cixml.job_items WHERE status IN ('indexed', 'unchanged', 'failed') GROUP BY 1)
SELECT caller_id, c.tokens, p.tokens, c.pages, e.pages
FROM counted c FULL JOIN paid p USING (caller_id) FULL JOIN ended e USING (caller_id)
WHERE coalesce(c.tokens, 0) <> coalesce(p.tokens, 0) OR coalesce(c.pages, 0) <> coalesce(e.pages, 0)
"""
UNDER_WAY = """
SELECT 'lease', batch_id::text FROM cixml.leases
UNION ALL SELECT 'batch', id::text FROM cixml.batches WHERE finished_at IS NULL
UNION ALL SELECT 'queue', item_id::text FROM cixml.work_queue
"""
OPEN_RUNS = "SELECT run_id, status FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"


class Books:
    """Reads the rows of one stack. Waits for Postgres when it was killed just now."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.values["DATABASE_URL"]
        dagster_url = stack.values["CIXML_DAGSTER__DATABASE_URL"]
        self._dagster_url = dagster_url.replace("postgresql+psycopg2", "postgresql").partition("?")[0]
        self._connection: psycopg.Connection[Any] | None = None

    def ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one reading statement; `{relation}` is the model's vector relation."""
        return waiting_for_postgres(lambda: self._ask(statement, parameters))

    def one(self, statement: str, *parameters: object) -> Any:
        return self.ask(statement, *parameters)[0][0]

    def chunks(self, corpus: str) -> set[tuple[str, int, str]]:
        """Return (url, ordinal, hash) of what is live in a corpus."""
        return {(url, ordinal, chunk_hash) for url, ordinal, chunk_hash in self.ask(CHUNKS, corpus)}

    def half_visible(self) -> list[tuple[Any, ...]]:
        """Return live documents that lack a chunk or a vector: never one, at no moment."""
        return self.ask(HALF_VISIBLE)

    def open_runs(self) -> list[tuple[Any, ...]]:
        """Return Dagster's runs that have not ended."""
        return waiting_for_postgres(self._open_runs)

    def wrong(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what is not as after a faultless run, once nothing is under way any more."""
        found = {
            "half visible": self.half_visible(),
            "vectors without a live chunk": self.ask(STRAY_VECTORS),
            "ledger": self.ask(WRONG_LEDGER_ROWS),
            "usage": self.ask(WRONG_USAGE),
            "under way": self.ask(UNDER_WAY),
            "open runs": self.open_runs(),
        }
        return {name: rows for name, rows in found.items() if rows}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, statement: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            if "{relation}" in statement:
                relations = self._connection.execute("SELECT DISTINCT relation FROM cixml.index_versions").fetchall()
                [relation] = relations or [("vectors_of_nobody",)]
                statement = statement.format(relation=f"cixml.{relation[0]}")
            return self._connection.execute(statement.encode(), parameters or None).fetchall()
        except psycopg.OperationalError:
            self.close()
            raise

    def _open_runs(self) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dagster_url, connect_timeout=5) as connection:
            return connection.execute(OPEN_RUNS).fetchall()


def waiting_for_postgres(ask: Callable[[], list[tuple[Any, ...]]], *, seconds: float = 60.0) -> list[tuple[Any, ...]]:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
