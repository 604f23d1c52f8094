"""Promotion: a corpus that outgrew the exact scan gets a relation of its own with an HNSW index; and the way back.

A graph of what was rewritten goes the same road to a new one; a little that came since its build is merged into it.

The end of any run asks for it, with a row. A run of its own in the backfill queue builds beside what serves, without a
lock. What reads the whole corpus follows a mark, still without the lock: copy what came during the build, verify that
every chunk that was live is found. Under the corpus's lock the same for what came after the mark, and the flip: retire
the old version, serve the new one. A killed build is begun anew by the next run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

import dagster as dg
from psycopg import Connection
from psycopg.rows import TupleRow

from resources.orchestration import progress
from resources.orchestration.graphs import build_graph
from resources.orchestration.lease import Lease
from resources.orchestration.serving import sweep_index
from resources.orchestration.work import RunWork
from resources.postgres import corpus_lock, graph_upkeep, promotions
from resources.postgres.batches import IndexVersion
from resources.postgres.graph_upkeep import NOTHING, Upkeep
from resources.postgres.promotions import Since
from resources.postgres.recall import Recall

MOST_COPIED_UNDER_LOCK = 2000
"""What came during the build goes beside the graph: a tenth of a second in which no page of the corpus is stored."""
LOCK_WAIT_SECONDS = 2.0
MERGE_WAIT_SECONDS = 0.5
MOST_MERGES = 20
MOST_PASSES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What a build did, for the materialisation."""

    rows: int
    recall: Recall | None
    build_seconds: float
    lock_seconds: float
    seconds: float

    @property
    def metadata(self) -> dict[str, int | float | str]:
        return (self.recall.metadata if self.recall else {}) | {
            "promoted_rows": self.rows,
            "promotion_build_seconds": round(self.build_seconds, 3),
            "promotion_lock_seconds": round(self.lock_seconds, 3),
            "promotion_seconds": round(self.seconds, 3),
        }


def promote(work: RunWork) -> Promoted | None:
    """Ask for a promotion when the corpus is due for one; do it when the run is not a caller's."""
    corpus, _ = work.serving()
    if _ask(work, corpus.id).merges:
        _merge(work, corpus.id)
    if work.is_ingest:
        return None
    sweep_index(work)  # what is not swept is copied
    opened = work.build()
    promoted = _Build(work, corpus.id, *opened).run() if opened else None
    _clear_up(work, corpus.id)
    return promoted


def _ask(work: RunWork, corpus_id: UUID) -> Upkeep:
    """Ask for what the corpus needs built, and return what the graph that serves it needs."""
    promote_rows = work.parts.settings.search.promote_rows
    upkeep = NOTHING
    with work.parts.database.transaction() as connection:
        graph = graph_upkeep.serving_graph(connection, corpus_id=corpus_id)
        if graph is not None:
            threshold = promote_rows * promotions.REFERENCE_DIMENSION // graph.dimension
            beside = graph_upkeep.count_beside(connection, graph=graph)
            upkeep = graph_upkeep.needs(graph, beside=beside, threshold=threshold)
        promotions.ask(connection, corpus_id=corpus_id, promote_rows=promote_rows, upkeep=upkeep)
    return upkeep


def _merge(work: RunWork, corpus_id: UUID) -> None:
    """Merge what is beside the graph into it, as far as writers let it and a run's end may take."""
    for _ in range(MOST_MERGES):
        with work.parts.database.transaction() as connection:
            if not corpus_lock.take(connection, corpus_id=corpus_id, wait_seconds=MERGE_WAIT_SECONDS):
                return
            graph = graph_upkeep.serving_graph(connection, corpus_id=corpus_id)
            if graph is None or graph_upkeep.merge_slice(connection, graph=graph) < graph_upkeep.SLICE:
                return
        progress.mark()


class _Build:
    """One build, from an empty relation to the flip."""

    def __init__(self, work: RunWork, corpus_id: UUID, lease: Lease, target: IndexVersion) -> None:
        self._lease = lease
        self._corpus_id = corpus_id
        self._source = lease.batch.serving
        self._target = target
        self._parts = work.parts
        self._recall: Recall | None = None
        self._build_seconds = 0.0
        self._lock_seconds = 0.0

    def run(self) -> Promoted:
        started = time.monotonic()
        rows = self._copy_all()
        self._index(rows)
        for _ in range(MOST_PASSES):
            last_set = self._mark()
            if last_set is None:
                continue
            after, copied = self._catch_up(last_set)
            rows += copied
            copied, is_done = self._flip(after)
            rows += copied
            if is_done:
                return Promoted(
                    rows=rows,
                    recall=self._recall,
                    build_seconds=self._build_seconds,
                    lock_seconds=self._lock_seconds,
                    seconds=time.monotonic() - started,
                )
        raise dg.Failure(
            f"the corpus is written faster than the copy follows ({MOST_PASSES} passes): tried again later"
        )

    def _copy_all(self) -> int:
        with progress.waiting(), self._lease.transaction() as connection:
            if self._target.has_own_relation:
                promotions.make_relation(connection, index=self._target)
            return self._copy(connection)

    def _index(self, rows: int) -> None:
        if not self._target.has_own_relation:
            return
        started = time.monotonic()
        self._recall = build_graph(self._parts, self._lease, self._target, rows=rows)
        self._build_seconds = time.monotonic() - started

    def _mark(self) -> int | None:
        """Mark where the corpus's chunk sets end, once no writer is in the middle of one; None without the lock."""
        with self._lease.transaction() as connection:
            if not corpus_lock.take(connection, corpus_id=self._corpus_id, wait_seconds=LOCK_WAIT_SECONDS):
                return None
            return promotions.mark(connection)

    def _catch_up(self, last_set: int) -> tuple[Since, int]:
        """Copy what the target lacks and verify what was live at the mark, however long that takes."""
        with progress.waiting(), self._lease.transaction() as connection:
            after = promotions.since(connection, corpus_id=self._corpus_id, index=self._target, last_set=last_set)
            copied = self._copy(connection)
            missing = promotions.live_chunks_without_vector(
                connection, corpus_id=self._corpus_id, index=self._target, after=after
            )
            _refuse(missing)
        return after, copied

    def _flip(self, after: Since) -> tuple[int, bool]:
        """Copy the rest and flip, under the lock; (copied, False) when there is too much left, or no lock to be had."""
        with self._lease.transaction() as connection:
            if not corpus_lock.take(connection, corpus_id=self._corpus_id, wait_seconds=LOCK_WAIT_SECONDS):
                return 0, False
            locked = time.monotonic()
            copied = promotions.copy_new(
                connection,
                corpus_id=self._corpus_id,
                source=self._source,
                target=self._target,
                after=after,
                limit=MOST_COPIED_UNDER_LOCK,
            )
            if copied < MOST_COPIED_UNDER_LOCK:
                self._serve(connection, after)
        self._lock_seconds += time.monotonic() - locked
        return copied, copied < MOST_COPIED_UNDER_LOCK

    def _serve(self, connection: Connection[TupleRow], after: Since) -> None:
        """Let the new version serve, or leave everything as it was."""
        missing = promotions.new_live_chunks_without_vector(
            connection, corpus_id=self._corpus_id, index=self._target, after=after
        )
        _refuse(missing)
        if not promotions.flip(connection, index=self._target):
            raise dg.Failure("the corpus is served by another model or chunking now")

    def _copy(self, connection: Connection[TupleRow]) -> int:
        return promotions.copy_missing(connection, corpus_id=self._corpus_id, source=self._source, target=self._target)


def _refuse(missing: int) -> None:
    if missing:
        raise dg.Failure(f"{missing} live chunks have no vector: materialise the embeddings of the corpus first")


def _clear_up(work: RunWork, corpus_id: UUID) -> None:
    """Let the vectors of retired versions leave their relations, a slice a transaction."""
    database = work.parts.database
    with database.transaction() as connection:
        found = promotions.leftovers(connection, corpus_id=corpus_id)
    for index_version_id in found:
        after: UUID | None = promotions.FIRST
        while after is not None:
            with database.transaction() as connection:
                corpus_lock.share(connection, corpus_id=corpus_id)  # no sweep finds a relation that goes just then
                after = promotions.clear_slice(
                    connection, corpus_id=corpus_id, index_version_id=index_version_id, after=after
                )
            progress.mark()
