"""The quality checks of a corpus, judged on what is live after a run. They block index flips, never a document:
a document's own visibility is decided by SQL in its transaction.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

import dagster as dg

from resources.orchestration.serving import IndexReport

MIN_COVERAGE = 0.8
"""Under it, an extractor drops paragraphs: one handbook kept 0.18 of its own while a news benchmark showed nothing."""
MAX_DUPLICATE_RATIO = 0.3
MAX_TINY_RATIO = 0.3
MAX_NORM_ERROR = 0.01
"""halfvec keeps 11 bits of mantissa; a normalised vector comes back within 0.001."""
MAX_AGE_SECONDS = 30 * 86_400.0

_DESCRIPTIONS: Mapping[str, str] = {
    "every_live_chunk_has_a_vector": "The serving index finds every live chunk.",
    "vectors_are_normalised": "Sampled vectors have norm 1, so the inner product is the cosine.",
    "text_is_covered": f"At least {MIN_COVERAGE:.0%} of the pages' own paragraphs are kept.",
    "chunks_are_distinct": f"At most {MAX_DUPLICATE_RATIO:.0%} of the live chunks repeat another (boilerplate).",
    "chunks_are_not_tiny": f"At most {MAX_TINY_RATIO:.0%} of the live chunks have fewer than 8 tokens.",
    "pages_are_fresh": f"No live page was last checked more than {MAX_AGE_SECONDS / 86_400:.0f} days ago.",
}


def check_specs(asset_key: str, partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """Return the declarations: per partition, evaluated by the asset itself, so that they cost no step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitions_def of a check: pinned version, tested
        return [
            dg.AssetCheckSpec(name, asset=asset_key, description=description, partitions_def=partitions)
            for name, description in _DESCRIPTIONS.items()
        ]


def check_results(report: IndexReport) -> Iterator[dg.AssetCheckResult]:
    """Judge a report. Only a hole in the index is an error; the rest are warnings until a flip asks."""
    quality, coverage = report.quality, report.totals.coverage
    yield _result("every_live_chunk_has_a_vector", report.chunks_without_vector, at_most=0, is_error=True)
    yield _result("vectors_are_normalised", quality.norm_error, at_most=MAX_NORM_ERROR, is_error=True)
    yield _result("text_is_covered", 1.0 if coverage is None else coverage, at_least=MIN_COVERAGE)
    yield _result("chunks_are_distinct", quality.duplicate_ratio, at_most=MAX_DUPLICATE_RATIO)
    yield _result("chunks_are_not_tiny", quality.tiny_ratio, at_most=MAX_TINY_RATIO)
    yield _result("pages_are_fresh", report.age_seconds, at_most=MAX_AGE_SECONDS)


def _result(
    name: str,
    value: float,
    *,
    at_least: float = float("-inf"),
    at_most: float = float("inf"),
    is_error: bool = False,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=at_least <= value <= at_most,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        metadata={"value": float(value)},
    )
