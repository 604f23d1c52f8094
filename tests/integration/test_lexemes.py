"""What keyword search reads comes with the chunks and goes with them; lifeline fills in what was stored before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from resources.orchestration.lexemes import LexemeKeeper
from resources.postgres import retention
from resources.postgres.database import Database as PipelineDatabase
from tests.builders import make_job, make_worker
from tests.database import Database
from tests.rows import index

Owner = psycopg.Connection[Any]
A, B = "https://example.com/a", "https://example.com/b"


@pytest.fixture
def owner(database: Database) -> Iterator[Owner]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        make_worker(connection)
        yield connection


@pytest.fixture
def keeper(database: Database) -> Iterator[LexemeKeeper]:
    with closing(LexemeKeeper(database.settings())) as found:
        yield found


def stored(owner: Owner) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT l.ordinal, l.length, array_to_string(tsvector_to_array(l.lexemes), ' '), s.has_lexemes "
        "FROM cixml.chunk_lexemes l JOIN cixml.chunk_sets s ON s.id = l.chunk_set_id ORDER BY s.id, l.ordinal"
    ).fetchall()


def mark(owner: Owner) -> str:
    row = owner.execute("SELECT 'c:' || right(replace(id::text, '-', ''), 12) FROM cixml.corpora").fetchone()
    assert row
    return str(row[0])


def test_chunks_are_stored_with_their_lexemes(owner: Owner, pipeline: PipelineDatabase) -> None:
    make_job(owner, A)
    index(pipeline, b"1", "Running mice run", "a second piece")
    assert stored(owner) == [(0, 3, f"{mark(owner)} mice run", True), (1, 3, f"a {mark(owner)} piec second", True)]
    assert owner.execute("SELECT language FROM cixml.corpus_languages").fetchall() == [("en",)]


def test_lexemes_of_old_versions_go_with_them(owner: Owner, pipeline: PipelineDatabase) -> None:
    for body in (b"1", b"2"):
        make_job(owner, A)
        index(pipeline, body, f"text {body.decode()}")
    assert len(stored(owner)) == 2
    owner.execute("UPDATE cixml.document_versions SET live_to = now() - interval '9 days' WHERE live_to IS NOT NULL")
    with pipeline.transaction() as connection:
        assert retention.prune_document_versions(connection, days=5).removed == 1
    assert [row[2].split()[0] for row in stored(owner)] == ["2"]


def test_chunk_sets_of_before_are_filled_in(owner: Owner, pipeline: PipelineDatabase, keeper: LexemeKeeper) -> None:
    make_job(owner, A, B)
    index(pipeline, b"1", "one piece", "another one")
    before = stored(owner)
    owner.execute("DELETE FROM cixml.chunk_lexemes")
    owner.execute("DELETE FROM cixml.corpus_languages")
    owner.execute("UPDATE cixml.chunk_sets SET has_lexemes = false")
    assert keeper.step()
    assert stored(owner) == before
    assert not keeper.step()
    assert owner.execute("SELECT language FROM cixml.corpus_languages").fetchall() == [("en",)]


def test_a_large_corpus_is_counted_and_again_when_it_has_changed(
    owner: Owner, pipeline: PipelineDatabase, keeper: LexemeKeeper
) -> None:
    make_job(owner, A)
    index(pipeline, b"1", "red fox", "red hen")
    assert not keeper.step()
    owner.execute("UPDATE cixml.corpus_levels SET chunks = 3000")
    assert keeper.step()
    assert not keeper.step()
    counted = dict(owner.execute("SELECT lexeme, chunks FROM cixml.lexeme_counts").fetchall())
    assert counted == {"red": 2, "fox": 1, "hen": 1}
    owner.execute("UPDATE cixml.corpus_levels SET chunks = 3601")
    assert keeper.step()
    owner.execute("UPDATE cixml.corpus_levels SET chunks = 9000, counted_chunks = NULL")
    owner.execute("UPDATE cixml.corpora SET deleted_at = now()")
    assert not keeper.step()
