from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import dagster as dg
import pytest

from cixml_assets.checks import HEALTHY, SOUND, check_results
from resources.orchestration.serving import IndexReport
from resources.postgres.batches import IndexVersion
from resources.postgres.corpus_levels import EMPTY, Findings

GOOD = IndexReport(
    index=IndexVersion(
        index_version_id=UUID(int=1), chunking={}, chunking_fp="fp", model_id=1, model="m", relation="vectors_m"
    ),
    levels=replace(EMPTY, documents=3, chunks=9, tokens=900, digest=Decimal(-5)),
    findings=Findings(
        chunks_without_vector=0,
        levels_agree=True,
        duplicate_ratio=0.0,
        tiny_ratio=0.0,
        norm_error=0.0004,
        coverage=0.97,
        median_coverage=0.99,
        pages_of_low_coverage=2,
        oldest_check_seconds=60.0,
    ),
    findings_age_seconds=0.0,
)


def results(report: IndexReport) -> dict[str, dg.AssetCheckResult]:
    return {str(result.check_name): result for result in check_results(report)}


def test_a_good_corpus_passes_both_checks() -> None:
    assert {name: result.passed for name, result in results(GOOD).items()} == {SOUND: True, HEALTHY: True}
    metadata = {name: value.value for name, value in results(GOOD)[HEALTHY].metadata.items()}
    assert metadata == {
        "coverage": 0.97,
        "median_coverage": 0.99,
        "pages_of_low_coverage": 2.0,
        "duplicate_ratio": 0.0,
        "tiny_ratio": 0.0,
        "oldest_check_seconds": 60.0,
    }, "numbers alone: no page is named"


def test_what_is_live_has_the_same_version_however_it_came_and_nothing_has_a_name() -> None:
    assert GOOD.data_version == "fffffffffffffffb"
    assert replace(GOOD, levels=EMPTY).data_version == "empty"


@pytest.mark.parametrize(
    ("findings", "trouble"),
    [
        (replace(GOOD.findings, chunks_without_vector=1), "live chunks can't be found"),
        (replace(GOOD.findings, levels_agree=False), "the counted levels are not the kept ones"),
    ],
)
def test_a_hole_in_the_index_is_an_error(findings: Findings, trouble: str) -> None:
    result = results(replace(GOOD, findings=findings))[SOUND]
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description == trouble


@pytest.mark.parametrize(
    ("report", "trouble"),
    [
        (replace(GOOD, findings=replace(GOOD.findings, coverage=0.18)), "paragraphs are dropped"),
        (replace(GOOD, findings=replace(GOOD.findings, median_coverage=0.7)), "most pages lose paragraphs"),
        (replace(GOOD, findings=replace(GOOD.findings, duplicate_ratio=0.9)), "chunks repeat each other"),
        (replace(GOOD, findings=replace(GOOD.findings, tiny_ratio=0.9)), "chunks have fewer than 8 tokens"),
        (replace(GOOD, findings_age_seconds=90 * 86_400.0), "pages were not checked lately"),
    ],
)
def test_each_defect_trips_the_warning_by_name(report: IndexReport, trouble: str) -> None:
    result = results(report)[HEALTHY]
    assert (result.passed, result.severity, result.description) == (False, dg.AssetCheckSeverity.WARN, trouble)
