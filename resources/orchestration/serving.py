"""What the `search_index` asset reports of the serving index version, read from Postgres.

Levels are exact at every run and cost one row. What only a full count can say (holes, duplicates, norms) is counted
when that is due, and by every run that people or a backfill start; else the last count is reported, with its age.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

from resources.identifiers import Prefix, public_id
from resources.orchestration.work import RunWork
from resources.postgres import corpus_levels, stale_vectors
from resources.postgres.batches import IndexVersion
from resources.postgres.corpus_levels import CorpusLevels, Findings

MOST_SLICES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """Levels of a corpus after a run, and what its checks judge. `findings` are as old as `findings_age_seconds`."""

    index: IndexVersion
    levels: CorpusLevels
    findings: Findings
    findings_age_seconds: float

    @property
    def metadata(self) -> dict[str, int | float | str]:
        """Return what plots in the UI: levels, not what the run added."""
        return {
            "index_version": public_id(Prefix.VERSION, self.index.index_version_id),
            "model": self.index.model,
            "corpus_documents_total": self.levels.documents,
            "corpus_chunks_total": self.levels.chunks,
            "corpus_tokens_total": self.levels.tokens,
            "coverage": round(self.findings.coverage, 3),
            "duplicate_ratio": round(self.findings.duplicate_ratio, 4),
            "checked_seconds_ago": round(self.findings_age_seconds, 1),
        }

    @property
    def data_version(self) -> str:
        """Return the version of what is live: equal for equal pages and texts."""
        return f"{int(self.levels.digest) % 2**64:016x}" if self.levels.documents else "empty"


def report_index(work: RunWork) -> IndexReport:
    """Report what is live; count all of it when a count is due or somebody asked by starting the run."""
    corpus, index = work.serving()
    with work.parts.database.transaction() as connection:
        levels = corpus_levels.read(connection, corpus_id=corpus.id, index=index)
    if levels.findings is None or levels.is_check_due or not work.is_ingest:
        return IndexReport(
            index=index, levels=levels, findings=_check(work, corpus.id, index), findings_age_seconds=0.0
        )
    return IndexReport(
        index=index,
        levels=levels,
        findings=Findings(**levels.findings),
        findings_age_seconds=levels.checked_seconds_ago or 0.0,
    )


def sweep_index(work: RunWork) -> None:
    """Remove vectors that no chunk uses any more, as far as no writer is at work and a run's end may take."""
    corpus, _ = work.serving()
    for _ in range(MOST_SLICES):
        with work.parts.database.transaction() as connection:
            if not stale_vectors.sweep(connection, corpus_id=corpus.id).goes_on:
                return


def _check(work: RunWork, corpus_id: UUID, index: IndexVersion) -> Findings:
    started = time.monotonic()
    with work.parts.database.transaction() as connection:
        findings = corpus_levels.check(connection, corpus_id=corpus_id, index=index)
        stale_vectors.queue(connection, corpus_id=corpus_id, index=index)
    seconds = time.monotonic() - started
    with work.parts.database.transaction() as connection:  # another one: the row is every flip's too
        corpus_levels.record_check(connection, corpus_id=corpus_id, index=index, findings=findings, seconds=seconds)
    return findings
