from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import dagster as dg
import pytest

from cixml_assets.checks import HEALTHY, SOUND, check_results
from resources.orchestration.serving import IndexReport
from resources.postgres.batches import IndexVersion
from resources.postgres.chunks import CorpusTotals
from resources.postgres.vectors import IndexQuality

GOOD = IndexReport(
    index=IndexVersion(
        index_version_id=UUID(int=1), chunking={}, chunking_fp="fp", model_id=1, model="m", relation="vectors_m"
    ),
    totals=CorpusTotals(
        documents=3,
        chunks=9,
        tokens=900,
        without_chunks=0,
        oldest_check=datetime.now(UTC),
        coverage=0.97,
        digest="d",
    ),
    quality=IndexQuality(chunks=9, duplicate_ratio=0.0, tiny_ratio=0.0, norm_error=0.0004),
    chunks_without_vector=0,
)


def results(report: IndexReport) -> dict[str, dg.AssetCheckResult]:
    return {str(result.check_name): result for result in check_results(report)}


def test_a_good_corpus_passes_both_checks() -> None:
    assert {name: result.passed for name, result in results(GOOD).items()} == {SOUND: True, HEALTHY: True}


def test_an_empty_corpus_passes() -> None:
    totals = replace(GOOD.totals, documents=0, chunks=0, oldest_check=None, coverage=None)
    assert all(result.passed for result in results(replace(GOOD, totals=totals)).values())


def test_a_hole_in_the_index_is_an_error() -> None:
    result = results(replace(GOOD, chunks_without_vector=1))[SOUND]
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description == "live chunks can't be found"


@pytest.mark.parametrize(
    ("report", "trouble"),
    [
        (replace(GOOD, totals=replace(GOOD.totals, coverage=0.18)), "paragraphs are dropped"),
        (replace(GOOD, quality=replace(GOOD.quality, duplicate_ratio=0.9)), "chunks repeat each other"),
        (replace(GOOD, quality=replace(GOOD.quality, tiny_ratio=0.9)), "chunks have fewer than 8 tokens"),
        (
            replace(GOOD, totals=replace(GOOD.totals, oldest_check=datetime.now(UTC) - timedelta(days=90))),
            "pages were not checked lately",
        ),
    ],
)
def test_each_defect_trips_the_warning_by_name(report: IndexReport, trouble: str) -> None:
    result = results(report)[HEALTHY]
    assert (result.passed, result.severity, result.description) == (False, dg.AssetCheckSeverity.WARN, trouble)
