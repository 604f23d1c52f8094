"""Compares an index version that is ready with the one that serves, by the corpus's labelled queries.

Rankings are exact, of both: what a graph may lose of them is asked by itself (resources/postgres/recall.py). Of a
corpus without labels only the overlap and the time are told, and nothing is judged. Times are told and never judged: on
a busy machine they would refuse a good version.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import compress
from uuid import UUID

from resources import retrieval_quality as quality
from resources.errors import EmbeddingUnavailableError
from resources.identifiers import Prefix, public_id
from resources.orchestration import progress
from resources.orchestration.build_errors import errors_noted
from resources.orchestration.lease import Lease
from resources.orchestration.query_vectors import query_vectors
from resources.orchestration.runtime import Runtime
from resources.postgres import comparisons
from resources.postgres.batches import IndexVersion
from resources.postgres.comparisons import LabelledQuery
from resources.settings import SearchSettings

WORSE = "worse_than_serving"
QUERIES_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Means over the queries. Quality is null without labels; times are of the search in Postgres."""

    model: str
    ndcg_at_10: float | None
    recall_at_10: float | None
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a version is worth beside the one that serves, which is None where its model can't be asked."""

    serving_id: UUID
    queries: int
    is_labelled: bool
    overlap_at_10: float | None
    candidate: Measures
    serving: Measures | None
    troubles: list[str]

    @property
    def is_good(self) -> bool:
        return not self.troubles

    @property
    def record(self) -> dict[str, object]:
        """Return the report as callers get it."""
        return {
            "compared_at": datetime.now(UTC).isoformat(),
            "compared_with": public_id(Prefix.VERSION, self.serving_id),
            "queries": self.queries,
            "is_labelled": self.is_labelled,
            "overlap_at_10": self.overlap_at_10,
            "candidate": asdict(self.candidate),
            "serving": asdict(self.serving) if self.serving else None,
            "is_good": self.is_good,
            "troubles": self.troubles,
        }

    @property
    def metadata(self) -> dict[str, int | float | str]:
        """Return what plots in the UI."""
        found: dict[str, int | float | str] = {"queries": self.queries, "is_labelled": int(self.is_labelled)}
        if self.overlap_at_10 is not None:
            found["overlap_at_10"] = round(self.overlap_at_10, 4)
        for side, measures in (("candidate", self.candidate), ("serving", self.serving)):
            for name, value in asdict(measures).items() if measures else ():
                if isinstance(value, float):
                    found[f"{side}_{name}"] = round(value, 4)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranking:
    """The documents of each query, None for one that the model can't take."""

    documents: list[list[UUID] | None]
    seconds: list[float]


def compare(lease: Lease, build: IndexVersion, parts: Runtime) -> Comparison:
    """Ask both versions the same questions, and keep what was found with the version."""
    serving, corpus_id = lease.batch.serving, lease.batch.corpus_id
    with lease.reading() as connection:
        asked = comparisons.questions(connection, corpus_id=corpus_id, index=serving)
    with errors_noted(lease, build):
        mine = _rank(lease, build, asked, parts)
    try:
        other = _rank(lease, serving, asked, parts) if serving.is_enabled else None
    except EmbeddingUnavailableError:
        other = None  # a model that is gone is a reason to change it
    found = _judge(build, serving, asked, mine, other, parts.settings.search)
    error = {"code": WORSE, "retryable": False, "detail": "; ".join(found.troubles)}
    with lease.transaction() as connection:
        comparisons.keep(
            connection,
            index_version_id=build.index_version_id,
            comparison=found.record,
            is_good=found.is_good,
            error=error,
        )
    return found


def _rank(lease: Lease, index: IndexVersion, asked: Sequence[LabelledQuery], parts: Runtime) -> _Ranking:
    client = parts.embedding(parts.registry.get(index.model))
    documents: list[list[UUID] | None] = []
    seconds: list[float] = []
    for start in range(0, len(asked), QUERIES_AT_ONCE):
        texts = [each.query for each in asked[start : start + QUERIES_AT_ONCE]]
        vectors = query_vectors(parts, client, texts)
        with lease.reading() as connection:
            for vector in vectors:
                if vector is None:
                    documents.append(None)
                    continue
                began = time.perf_counter()
                documents.append(
                    comparisons.nearest_documents(
                        connection, corpus_id=lease.batch.corpus_id, index=index, vector=vector
                    )
                )
                seconds.append(time.perf_counter() - began)
        progress.mark()
    return _Ranking(documents=documents, seconds=seconds)


def _judge(
    build: IndexVersion,
    serving: IndexVersion,
    asked: Sequence[LabelledQuery],
    mine: _Ranking,
    other: _Ranking | None,
    settings: SearchSettings,
) -> Comparison:
    if other is not None:  # the same questions for both
        both = [a is not None and b is not None for a, b in zip(mine.documents, other.documents, strict=True)]
        asked = list(compress(asked, both))
        mine, other = (replace(each, documents=list(compress(each.documents, both))) for each in (mine, other))
    candidate = _measures(build, asked, mine)
    before = _measures(serving, asked, other) if other else None
    overlaps = (
        [quality.overlap(a or [], b or []) for a, b in zip(mine.documents, other.documents, strict=True)]
        if other
        else []
    )
    return Comparison(
        serving_id=serving.index_version_id,
        queries=len(asked),
        is_labelled=any(each.relevant for each in asked),
        overlap_at_10=quality.mean(overlaps) if overlaps else None,
        candidate=candidate,
        serving=before,
        troubles=_troubles(candidate, before, settings),
    )


def _measures(index: IndexVersion, asked: Sequence[LabelledQuery], ranking: _Ranking) -> Measures:
    judged = [
        (documents, each.relevant)
        for documents, each in zip(ranking.documents, asked, strict=True)
        if each.relevant and documents is not None
    ]
    return Measures(
        model=index.model,
        ndcg_at_10=quality.mean([quality.ndcg(*pair) for pair in judged]) if judged else None,
        recall_at_10=quality.mean([quality.recall(*pair) for pair in judged]) if judged else None,
        p50_ms=1000 * quality.percentile(ranking.seconds, 0.5),
        p95_ms=1000 * quality.percentile(ranking.seconds, 0.95),
    )


def _troubles(candidate: Measures, serving: Measures | None, settings: SearchSettings) -> list[str]:
    found = []
    for name, mine, other in (
        ("nDCG@10", candidate.ndcg_at_10, serving.ndcg_at_10 if serving else None),
        ("recall@10", candidate.recall_at_10, serving.recall_at_10 if serving else None),
    ):
        if mine is not None and other is not None and mine < other - settings.max_quality_drop:
            found.append(f"{name} {mine:.3f} is below {other:.3f} by more than {settings.max_quality_drop:g}")
    return found
