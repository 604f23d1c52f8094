"""The quality checks of a corpus, judged on what is live after a run. They block index flips, never a document:
a document's own visibility is decided by SQL in its transaction.

Two checks, not one per number: each check is two more events in every run, about 10 ms.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from resources.orchestration.comparison import Comparison
from resources.orchestration.serving import IndexReport
from resources.postgres.corpus_levels import LOW_COVERAGE


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that has to lie within limits, and what it means when it does not."""

    value: float
    trouble: str
    at_least: float = float("-inf")
    at_most: float = float("inf")

    @property
    def holds(self) -> bool:
        return self.at_least <= self.value <= self.at_most


MIN_COVERAGE = LOW_COVERAGE
"""Of the mean and the median. Under it, an extractor drops paragraphs: one handbook kept 0.18 of its own
while a news benchmark showed nothing."""
MAX_DUPLICATE_RATIO = 0.3
MAX_TINY_RATIO = 0.3
MAX_NORM_ERROR = 0.01
"""halfvec keeps 11 bits of mantissa; a normalised vector comes back within 0.001."""
MAX_AGE_SECONDS = 30 * 86_400.0

SOUND = "index_is_sound"
HEALTHY = "corpus_is_healthy"
NO_WORSE = "no_worse_than_serving"
_DESCRIPTIONS: Mapping[str, str] = {
    SOUND: "The serving index finds every live chunk, and sampled vectors have norm 1.",
    HEALTHY: "Pages' own paragraphs are kept, chunks are neither repeated nor tiny, pages were checked lately.",
}


def check_specs(asset_key: str, partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """Return the declarations: per partition, evaluated by the asset itself, so that they cost no step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitions_def of a check: pinned version, tested
        return [
            dg.AssetCheckSpec(name, asset=asset_key, description=description, partitions_def=partitions)
            for name, description in _DESCRIPTIONS.items()
        ]


def comparison_spec(asset_key: str, partitions: dg.PartitionsDefinition[str]) -> dg.AssetCheckSpec:
    """Return the declaration of the check that stands before a flip: what is downstream does not run when it fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            NO_WORSE,
            asset=asset_key,
            description="What may take over finds what is labelled like the one that serves, and about as fast.",
            partitions_def=partitions,
            blocking=True,
        )


def comparison_result(found: Comparison | None, *, is_forced: bool) -> dg.AssetCheckResult:
    """Judge a comparison; without one there is nothing to judge. Who forces a version knows the report."""
    refusal = found.refusal if found else None
    return dg.AssetCheckResult(
        check_name=NO_WORSE,
        passed=refusal is None or is_forced,
        description=refusal,
        metadata=found.metadata if found else {},
    )


def check_results(report: IndexReport) -> list[dg.AssetCheckResult]:
    """Judge a report. A hole in the index is an error; the rest are warnings until a flip asks."""
    return [_result(SOUND, _sound(report), is_error=True), _result(HEALTHY, _healthy(report), is_error=False)]


def _sound(report: IndexReport) -> dict[str, Bound]:
    findings = report.findings
    return {
        "chunks_without_vector": Bound(findings.chunks_without_vector, "live chunks can't be found", at_most=0),
        "levels_differ": Bound(not findings.levels_agree, "the counted levels are not the kept ones", at_most=0),
        "norm_error": Bound(findings.norm_error, "vectors are not normalised", at_most=MAX_NORM_ERROR),
    }


def _healthy(report: IndexReport) -> dict[str, Bound]:
    findings = report.findings
    age = findings.oldest_check_seconds + report.findings_age_seconds
    return {
        "coverage": Bound(findings.coverage, "paragraphs are dropped", at_least=MIN_COVERAGE),
        "median_coverage": Bound(findings.median_coverage, "most pages lose paragraphs", at_least=MIN_COVERAGE),
        "pages_of_low_coverage": Bound(findings.pages_of_low_coverage, "reported, not judged"),
        "duplicate_ratio": Bound(findings.duplicate_ratio, "chunks repeat each other", at_most=MAX_DUPLICATE_RATIO),
        "tiny_ratio": Bound(findings.tiny_ratio, "chunks have fewer than 8 tokens", at_most=MAX_TINY_RATIO),
        "oldest_check_seconds": Bound(age, "pages were not checked lately", at_most=MAX_AGE_SECONDS),
    }


def _result(name: str, bounds: Mapping[str, Bound], *, is_error: bool) -> dg.AssetCheckResult:
    broken = [bound.trouble for bound in bounds.values() if not bound.holds]
    return dg.AssetCheckResult(
        check_name=name,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description="; ".join(broken) or None,
        metadata={key: round(float(bound.value), 4) for key, bound in bounds.items()},
    )
