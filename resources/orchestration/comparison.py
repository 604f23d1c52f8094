"""Compares an index version that is ready with the one that serves, by the corpus's labelled queries.

Rankings are exact, of both: what a graph may lose of them is asked by itself (resources/postgres/recall.py). Times are
of the search as it is served, both asked in turns, so that what else the machine does slows both. Of a corpus without
labels the time alone is judged. The overlap is told and never judged: a better model answers otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import compress
from uuid import UUID

from resources import retrieval_quality as quality
from resources.errors import EmbeddingUnavailableError
from resources.identifiers import Prefix, public_id
from resources.orchestration.build_errors import errors_noted
from resources.orchestration.lease import Lease
from resources.orchestration.query_vectors import Vector, query_vectors
from resources.orchestration.runtime import Runtime
from resources.postgres import comparisons
from resources.postgres.batches import IndexVersion
from resources.postgres.comparisons import LabelledQuery, Way
from resources.settings import SearchSettings

WORSE = "worse_than_serving"
REMEDY = "let it serve all the same with 'force': true ('cixml activate --force')"
QUERIES_AT_ONCE = 32
LEAST_TIMINGS = 20
"""Of each side, and a median needs some: where there are fewer questions, each is asked several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Means over the queries. Quality is null without labels; times are of the search in Postgres, as it is served."""

    model: str
    ndcg_at_10: float | None
    recall_at_10: float | None
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much worse a version may be than the one that serves (SearchSettings)."""

    max_quality_drop: float
    max_slowdown_ratio: float
    max_slowdown_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a version is worth beside the one that serves, which is None where its model can't be asked."""

    serving_id: UUID
    queries: int
    is_labelled: bool
    overlap_at_10: float | None
    candidate: Measures
    serving: Measures | None
    limits: Limits
    troubles: list[str]

    @property
    def is_good(self) -> bool:
        return not self.troubles

    @property
    def refusal(self) -> str | None:
        """Return why it may not serve, and what lets it all the same; None when it is good."""
        return f"{'; '.join(self.troubles)}: {REMEDY}" if self.troubles else None

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
            "limits": asdict(self.limits),
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
        return found | asdict(self.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranking:
    """The vector and the documents of each query, None for one that the model can't take; times of searches."""

    way: Way
    vectors: list[Vector | None]
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
    if other is not None:
        asked, mine, other = _of_both(asked, mine, other)
    _take_times(lease, [mine] if other is None else [mine, other])
    found = _judge(asked, mine, other, serving.index_version_id, parts.settings.search)
    error = {"code": WORSE, "retryable": False, "detail": found.refusal}
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
    model, corpus_id = parts.registry.get(index.model), lease.batch.corpus_id
    client = parts.embedding(model)
    with lease.reading() as connection:
        way = comparisons.way_of(connection, index=index, dimension=model.dimension)
    found = _Ranking(way=way, vectors=[], documents=[], seconds=[])
    for start in range(0, len(asked), QUERIES_AT_ONCE):
        vectors = query_vectors(parts, client, [each.query for each in asked[start : start + QUERIES_AT_ONCE]])
        found.vectors.extend(vectors)
        with lease.reading() as connection:
            for vector in vectors:
                documents = None
                if vector is not None:
                    documents = comparisons.nearest_documents(
                        connection, corpus_id=corpus_id, index=index, vector=vector
                    )
                found.documents.append(documents)
    return found


def _of_both(
    asked: Sequence[LabelledQuery], mine: _Ranking, other: _Ranking
) -> tuple[list[LabelledQuery], _Ranking, _Ranking]:
    """Return what both models take: they are judged by the same questions."""
    both = [a is not None and b is not None for a, b in zip(mine.documents, other.documents, strict=True)]
    mine, other = (
        replace(each, vectors=list(compress(each.vectors, both)), documents=list(compress(each.documents, both)))
        for each in (mine, other)
    )
    return list(compress(asked, both)), mine, other


def _take_times(lease: Lease, sides: list[_Ranking]) -> None:
    """Ask each side the same questions in turns, first one first and then the other, after one that does not count."""
    count = len(sides[0].vectors)
    for number in range(-1, max(count, LEAST_TIMINGS)) if count else ():
        for side in reversed(sides) if number % 2 else sides:
            vector = side.vectors[number % count]
            if vector is None:
                continue
            with lease.reading() as connection:
                seconds = comparisons.search_seconds(
                    connection, corpus_id=lease.batch.corpus_id, way=side.way, vector=vector
                )
            if number >= 0:
                side.seconds.append(seconds)


def _judge(
    asked: Sequence[LabelledQuery],
    mine: _Ranking,
    other: _Ranking | None,
    serving_id: UUID,
    settings: SearchSettings,
) -> Comparison:
    candidate = _measures(asked, mine)
    before = _measures(asked, other) if other else None
    limits = Limits(
        max_quality_drop=settings.max_quality_drop,
        max_slowdown_ratio=settings.max_slowdown_ratio,
        max_slowdown_ms=settings.max_slowdown_ms,
    )
    overlaps = (
        [quality.overlap(a or [], b or []) for a, b in zip(mine.documents, other.documents, strict=True)]
        if other
        else []
    )
    return Comparison(
        serving_id=serving_id,
        queries=len(asked),
        is_labelled=any(each.relevant for each in asked),
        overlap_at_10=quality.mean(overlaps) if overlaps else None,
        candidate=candidate,
        serving=before,
        limits=limits,
        troubles=troubles(candidate, before, limits) if before else [],
    )


def _measures(asked: Sequence[LabelledQuery], ranking: _Ranking) -> Measures:
    judged = [
        (documents, each.relevant)
        for documents, each in zip(ranking.documents, asked, strict=True)
        if each.relevant and documents is not None
    ]
    return Measures(
        model=ranking.way.index.model,
        ndcg_at_10=quality.mean([quality.ndcg(*pair) for pair in judged]) if judged else None,
        recall_at_10=quality.mean([quality.recall(*pair) for pair in judged]) if judged else None,
        p50_ms=1000 * quality.percentile(ranking.seconds, 0.5),
        p95_ms=1000 * quality.percentile(ranking.seconds, 0.95),
    )


def troubles(candidate: Measures, serving: Measures, limits: Limits) -> list[str]:
    """Return in what a version is worse than is allowed.

    Slower is what is so by both limits, of the medians: twice as slow is nothing to feel of 2 ms, and 50 ms more is
    little of 500. Slow searches (p95) are mostly what else the machine did: they are told.
    """
    found = []
    for name, mine, other in (
        ("nDCG@10", candidate.ndcg_at_10, serving.ndcg_at_10),
        ("recall@10", candidate.recall_at_10, serving.recall_at_10),
    ):
        if mine is not None and other is not None and mine < other - limits.max_quality_drop:
            found.append(f"{name} {mine:.3f} is below {other:.3f} by more than {limits.max_quality_drop:g}")
    most = max(serving.p50_ms * limits.max_slowdown_ratio, serving.p50_ms + limits.max_slowdown_ms)
    if candidate.p50_ms > most:
        found.append(
            f"a search takes {candidate.p50_ms:.1f} ms where it took {serving.p50_ms:.1f}: more than "
            f"{limits.max_slowdown_ratio:g} times as long, and than {limits.max_slowdown_ms:g} ms longer"
        )
    return found
