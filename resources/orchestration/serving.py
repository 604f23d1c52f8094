"""What the `search_index` asset reports of the serving index version, read from Postgres."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from resources.orchestration.work import RunWork
from resources.postgres import chunks, vectors
from resources.postgres.batches import IndexVersion
from resources.postgres.chunks import CorpusTotals
from resources.postgres.vectors import IndexQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """Levels of a corpus after a run, and what its checks judge."""

    index: IndexVersion
    totals: CorpusTotals
    quality: IndexQuality
    chunks_without_vector: int

    @property
    def metadata(self) -> dict[str, int | float | str]:
        """Return what plots in the UI: levels, not what the run added."""
        return {
            "index_version": str(self.index.index_version_id),
            "model": self.index.model,
            "corpus_documents_total": self.totals.documents,
            "corpus_chunks_total": self.totals.chunks,
            "corpus_tokens_total": self.totals.tokens,
            "coverage": round(self.totals.coverage or 0.0, 3),
            "duplicate_ratio": round(self.quality.duplicate_ratio, 4),
        }

    @property
    def age_seconds(self) -> float:
        """Return how long ago the document that was checked longest ago was checked; 0 for an empty corpus."""
        oldest = self.totals.oldest_check
        return (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0


def report_index(work: RunWork) -> IndexReport:
    """Count what is live and what the serving index can't find (0, always)."""
    corpus, index = work.serving()
    with work.parts.database.transaction() as connection:
        return IndexReport(
            index=index,
            totals=chunks.totals(connection, corpus_id=corpus.id, chunking_fp=index.chunking_fp),
            quality=vectors.quality(connection, corpus_id=corpus.id, index=index),
            chunks_without_vector=vectors.live_chunks_without_vector(connection, corpus_id=corpus.id, index=index),
        )
