"""What is live in a corpus, as its flips keep it, against a full count."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest

from resources.postgres import batches, corpus_levels
from resources.postgres.corpus_levels import CorpusLevels, Findings
from resources.postgres.database import Database as PipelineDatabase
from tests.builders import make_job, make_worker
from tests.rows import index


def levels(pipeline: PipelineDatabase, corpus_id: UUID) -> CorpusLevels:
    with pipeline.transaction() as connection:
        serving = batches.serving_index(connection, corpus_id=corpus_id)
        return corpus_levels.read(connection, corpus_id=corpus_id, index=serving)


def check(pipeline: PipelineDatabase, corpus_id: UUID) -> Findings:
    with pipeline.transaction() as connection:
        serving = batches.serving_index(connection, corpus_id=corpus_id)
        return corpus_levels.check(connection, corpus_id=corpus_id, index=serving)


def test_flips_keep_the_levels_that_a_full_count_finds(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a", "https://example.com/b")
    index(pipeline, b"first", "one two", "three four")
    first = levels(pipeline, job.corpus_id)
    assert (first.documents, first.chunks, first.tokens) == (2, 4, 8)
    make_job(owner, "https://example.com/a")
    index(pipeline, b"second", "one two three")
    second = levels(pipeline, job.corpus_id)
    assert (second.documents, second.chunks, second.tokens) == (2, 3, 7)
    assert second.digest != first.digest
    found = check(pipeline, job.corpus_id)
    assert found.levels_agree
    assert found.chunks_without_vector == 0
    assert found.duplicate_ratio == 0.0


def test_equal_content_has_an_equal_digest_in_whatever_order_and_corpus(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    one = make_job(owner, "https://example.com/a", "https://example.com/b", corpus="one")
    index(pipeline, b"first", "an old text")
    make_job(owner, "https://example.com/b", "https://example.com/a", corpus="one")
    index(pipeline, b"second", "the text")
    other = make_job(owner, "https://example.com/b", corpus="other")
    index(pipeline, b"second", "the text")
    assert levels(pipeline, one.corpus_id).digest != levels(pipeline, other.corpus_id).digest
    make_job(owner, "https://example.com/a", corpus="other")
    index(pipeline, b"second", "the text")
    assert levels(pipeline, one.corpus_id).digest == levels(pipeline, other.corpus_id).digest


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("DELETE FROM cixml.{relation}", {"chunks_without_vector": 1}),
        ("UPDATE cixml.corpus_levels SET chunks = chunks + 1", {"levels_agree": False}),
        ("UPDATE cixml.documents SET checked_at = now() - interval '1 day'", {"oldest_check_seconds": 86_400}),
        ("UPDATE cixml.chunks SET token_count = 7", {"tiny_ratio": 1.0}),
        ("UPDATE cixml.document_versions SET coverage = 0.18", {"pages_of_low_coverage": 1, "median_coverage": 0.18}),
        ("UPDATE cixml.{relation} SET embedding = embedding + embedding", {"norm_error": 1.0}),
    ],
)
def test_a_full_count_finds_the_damage(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, damage: str, finding: dict[str, float]
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    index(pipeline, b"body", "one two three four five six seven eight nine")
    row = owner.execute("SELECT relation FROM cixml.index_versions").fetchone()
    assert row
    owner.execute(damage.format(relation=row[0]).encode())
    found = check(pipeline, job.corpus_id)
    for name, value in finding.items():
        assert getattr(found, name) == pytest.approx(value, abs=1.0 if value > 1 else 0.01)


def test_a_check_is_due_again_when_it_keeps_to_its_share_of_the_time(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    assert levels(pipeline, job.corpus_id).is_check_due
    index(pipeline, b"body", "one")
    with pipeline.transaction() as connection:
        serving = batches.serving_index(connection, corpus_id=job.corpus_id)
        found = corpus_levels.check(connection, corpus_id=job.corpus_id, index=serving)
        corpus_levels.record_check(connection, corpus_id=job.corpus_id, index=serving, findings=found, seconds=0.2)
    fresh = levels(pipeline, job.corpus_id)
    assert not fresh.is_check_due
    assert Findings(**json.loads(json.dumps(fresh.findings))) == found
    owner.execute("UPDATE cixml.corpus_levels SET checked_at = now() - interval '30 seconds'")
    assert levels(pipeline, job.corpus_id).is_check_due
