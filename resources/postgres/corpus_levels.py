"""The table `corpus_levels`: what is live in a corpus, kept by flips, and what its last full check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.postgres.batches import IndexVersion
from resources.postgres.queries import query, query_on

LOW_COVERAGE = 0.8
CHECK_SHARE = 0.01
"""A full check reads the whole corpus (0.2 s at 60,000 chunks): checks take at most this share of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a full check found. Ratios are shares (0 to 1) of the live chunks, `coverage` of pages' own paragraphs.

    Of coverage there are the mean, the median and how many pages keep less than LOW_COVERAGE of their own. The last two
    are not in what older checks kept.
    """

    chunks_without_vector: int
    levels_agree: bool
    duplicate_ratio: float
    tiny_ratio: float
    norm_error: float
    coverage: float
    oldest_check_seconds: float
    median_coverage: float = 1.0
    pages_of_low_coverage: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusLevels:
    """The level of a corpus, not what a run added. `digest` changes with any live text, whatever the order it came in.

    `findings` are None before the first check.
    """

    documents: int
    chunks: int
    tokens: int
    digest: Decimal
    findings: Mapping[str, Any] | None
    checked_seconds_ago: float | None
    check_seconds: float

    @property
    def is_check_due(self) -> bool:
        """Return whether another full check keeps to its share of the time."""
        return self.checked_seconds_ago is None or self.checked_seconds_ago * CHECK_SHARE >= self.check_seconds


EMPTY = CorpusLevels(
    documents=0, chunks=0, tokens=0, digest=Decimal(), findings=None, checked_seconds_ago=None, check_seconds=0.0
)


def read(connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion) -> CorpusLevels:
    """Return what is live now, as this index version cuts it."""
    with connection.cursor(row_factory=class_row(CorpusLevels)) as cursor:
        row = cursor.execute(
            query("corpus_levels"), {"corpus_id": corpus_id, "chunking_fp": index.chunking_fp}
        ).fetchone()
    return row or EMPTY


def check(connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion) -> Findings:
    """Count the whole corpus."""
    with connection.cursor(row_factory=class_row(Findings)) as cursor:
        row = cursor.execute(
            query_on("check_corpus", index.relation),
            {"corpus_id": corpus_id, "chunking_fp": index.chunking_fp, "low_coverage": LOW_COVERAGE},
        ).fetchone()
    assert row is not None
    return row


def record_check(
    connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion, findings: Findings, seconds: float
) -> None:
    """Keep what a check found, for the reports of the runs that do not check."""
    connection.execute(
        query("record_check"),
        {
            "corpus_id": corpus_id,
            "chunking_fp": index.chunking_fp,
            "findings": Jsonb(asdict(findings)),
            "check_seconds": seconds,
        },
    )
