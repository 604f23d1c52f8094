"""Another index of a corpus: filled by a run of its own from what is stored, checked, and flipped when it is asked for.

A run of `chunks`, `embeddings/<model>`, `index_comparison` and `search_index` with the tag `cixml/index_version` works
on what the live documents lack of that version. Pages that are indexed meanwhile go to the version that serves; the run
after finds them. A version that shall serve is flipped under the corpus's lock when no live document lacks anything of
it. While pages come in all the time that moment would never be: after a pass that left some, no page of the corpus is
begun for a while, and the next pass waits until those under work are in.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import dagster as dg

from resources.identifiers import Prefix, public_id
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
class Filled:
    """A version that is ready, and what its graph finds, if this run built one."""

    build: IndexBuild
    lease: Lease
    recall: Recall | None

    @property
    def metadata(self) -> dict[str, int | float | str]:
        built = {
            "built_version": public_id(Prefix.VERSION, self.build.index_version_id),
            "built_model": self.build.model,
        }
        return built | (self.recall.metadata if self.recall else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """What came of the flip of a version that was asked to serve, for the materialisation."""

    documents_missing: int
    seconds: float

    @property
    def is_serving(self) -> bool:
        return not self.documents_missing

    @property
    def metadata(self) -> dict[str, int | float | str]:
        return {
            "documents_missing": self.documents_missing,
            "is_flipped": int(self.is_serving),
            "flip_seconds": round(self.seconds, 3),
        }


def make_ready(work: RunWork) -> Filled | None:
    """Make ready what the run filled, with its graph; None for a run of anything else."""
    opened = work.build_of_run()
    if opened is None:
        return None
    lease, build = opened
    recall = None
    if build.state == "building":
        recall = _index(work, lease, build)
        with lease.transaction() as connection:
            index_builds.make_ready(connection, index_version_id=build.index_version_id)
    return Filled(build=_now(lease, build), lease=lease, recall=recall)


def flip_build(work: RunWork) -> Flipped | None:
    """Let the version of the run serve, if that is asked for; None where it is not, and for a run of anything else."""
    opened = work.build_of_run()
    if opened is None:
        return None
    lease, build = opened
    started = time.monotonic()
    if not _now(lease, build).is_wanted:
        return None
    missing = _flip(lease, build, grace_seconds=work.parts.settings.search.grace_hours * 3600.0)
    logger.info("index version %s: %s documents missing", build.index_version_id, missing)
    return Flipped(documents_missing=missing, seconds=time.monotonic() - started)


def _now(lease: Lease, build: IndexBuild) -> IndexBuild:
    with lease.reading() as connection:
        return index_builds.read(connection, index_version_id=build.index_version_id)


def _index(work: RunWork, lease: Lease, build: IndexBuild) -> Recall | None:
    """Build the graph of a version with a relation of its own, after its load."""
    if not build.has_own_relation:
        return None
    with lease.reading() as connection:
        if index_builds.has_graph(connection, index=build):
            return None
        rows = promotions.count(connection, index=build)
    return build_graph(work.parts, lease, build, rows=rows)


def _flip(lease: Lease, build: IndexBuild, *, grace_seconds: float) -> int:
    """Let the version serve if it is whole, else ask for another pass. Returns how many documents it lacks."""
    corpus_id = lease.batch.corpus_id
    for _ in range(LOCK_TRIES):
        with lease.transaction() as connection:
            if not corpus_lock.take(connection, corpus_id=corpus_id, wait_seconds=LOCK_WAIT_SECONDS):
                continue
            missing = index_builds.documents_not_whole(connection, corpus_id=corpus_id, index=build)
            if missing:
                index_builds.hold_claims(connection, corpus_id=corpus_id, seconds=HOLD_SECONDS)
            else:
                index_builds.flip(connection, corpus_id=corpus_id, build=build, grace_seconds=grace_seconds)
        return missing
    raise dg.Failure("the corpus's writers leave no moment for the flip: tried again later")
