"""Another index of a corpus: filled by a run of its own from what is stored, checked, and flipped when it is asked for.

A run of `chunks`, `embeddings/<model>` and `search_index` with the tag `cixml/index_version` works on what the live
documents lack of that version. Pages that are indexed meanwhile go to the version that serves; the run after finds
them. A version that shall serve is flipped under the corpus's lock when no live document lacks anything of it. While
pages come in all the time that moment would never be: after a pass that left some, no page of the corpus is begun for a
while, and the next pass waits until those under work are in.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import dagster as dg

from resources.orchestration.graphs import build_graph
from resources.orchestration.lease import Lease
from resources.orchestration.work import RunWork
from resources.postgres import corpus_lock, index_builds, promotions
from resources.postgres.index_builds import IndexBuild
from resources.postgres.recall import Recall

LOCK_WAIT_SECONDS = 2.0
LOCK_TRIES = 10
HOLD_SECONDS = 60.0
logger = logging.getLogger("cixml.reindexing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindexed:
    """What the end of such a run found, for the materialisation."""

    build: IndexBuild
    documents_missing: int
    is_serving: bool
    recall: Recall | None
    seconds: float

    @property
    def metadata(self) -> dict[str, int | float | str]:
        return (self.recall.metadata if self.recall else {}) | {
            "built_version": str(self.build.index_version_id),
            "built_model": self.build.model,
            "documents_missing": self.documents_missing,
            "is_flipped": int(self.is_serving),
            "flip_seconds": round(self.seconds, 3),
        }


def finish_build(work: RunWork) -> Reindexed | None:
    """Make ready what the run filled, and let it serve if that is asked for; None for a run of anything else."""
    opened = work.build_of_run()
    return _Finish(work, *opened).run() if opened else None


class _Finish:
    """The end of one run."""

    def __init__(self, work: RunWork, lease: Lease, build: IndexBuild) -> None:
        self._lease = lease
        self._corpus_id = lease.batch.corpus_id
        self._build = build
        self._grace_seconds = work.parts.settings.search.grace_hours * 3600.0
        self._dimension = work.parts.registry.get(build.model).dimension
        self._recall: Recall | None = None

    def run(self) -> Reindexed:
        started = time.monotonic()
        if self._build.state == "building":
            self._index()
            with self._lease.transaction() as connection:
                index_builds.make_ready(connection, index_version_id=self._build.index_version_id)
        with self._lease.reading() as connection:
            self._build = index_builds.read(connection, index_version_id=self._build.index_version_id)
        missing = self._flip() if self._build.is_wanted else 0
        return Reindexed(
            build=self._build,
            documents_missing=missing,
            is_serving=self._build.is_wanted and not missing,
            recall=self._recall,
            seconds=time.monotonic() - started,
        )

    def _index(self) -> None:
        """Build the graph of a version with a relation of its own, after its load."""
        if not self._build.has_own_relation:
            return
        with self._lease.reading() as connection:
            if index_builds.has_graph(connection, index=self._build):
                return
            rows = promotions.count(connection, index=self._build)
        self._recall = build_graph(self._lease, self._build, rows=rows, dimension=self._dimension)

    def _flip(self) -> int:
        """Let the version serve if it is whole, else ask for another pass. Returns how many documents it lacks."""
        for _ in range(LOCK_TRIES):
            with self._lease.transaction() as connection:
                if not corpus_lock.take(connection, corpus_id=self._corpus_id, wait_seconds=LOCK_WAIT_SECONDS):
                    continue
                missing = index_builds.documents_not_whole(connection, corpus_id=self._corpus_id, index=self._build)
                if missing:
                    index_builds.hold_claims(connection, corpus_id=self._corpus_id, seconds=HOLD_SECONDS)
                else:
                    index_builds.flip(
                        connection, corpus_id=self._corpus_id, build=self._build, grace_seconds=self._grace_seconds
                    )
            logger.info("index version %s: %s documents missing", self._build.index_version_id, missing)
            return missing
        raise dg.Failure("the corpus's writers leave no moment for the flip: tried again later")
