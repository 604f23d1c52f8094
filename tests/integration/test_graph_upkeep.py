"""What comes after a graph was built stands beside it, is merged into it, or is built into another."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from resources.postgres import graph_upkeep, stale_vectors
from resources.postgres.database import Database as PipelineDatabase
from tests.builders import make_job
from tests.database import Database
from tests.promoting import Owner, Runs, ask, assert_like_a_corpus_built_afresh, due, make_large_corpus, serving
from tests.rows import index


@pytest.fixture
def corpus(owner: Owner, pipeline: PipelineDatabase) -> UUID:
    return make_large_corpus(owner, pipeline)


@pytest.fixture
def runs(database: Database) -> Iterator[Runs]:
    found = Runs(database)
    yield found
    found.parts.database.close()


def rewrite(owner: Owner, pipeline: PipelineDatabase, corpus: UUID, number: int) -> None:
    """Crawl all of the corpus again: every paragraph but one is another."""
    for name in "abc":
        make_job(owner, f"https://example.com/{name}")
        index(pipeline, f"{name} {number}".encode(), "shared by all", *(f"{name} {number} {n}" for n in range(9)))
    with pipeline.transaction() as connection:
        stale_vectors.sweep(connection, corpus_id=corpus)


def size(owner: Owner, relation: str) -> int:
    """Return the bytes of a relation, its graph and their indexes."""
    row = owner.execute(
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN (%s, %s)",
        [relation, f"{relation}_graph"],
    ).fetchone()
    assert row
    return int(row[0])


def upkeep_of(owner: Owner, corpus_id: UUID) -> tuple[int, int, int]:
    """Return what the graph that serves was built over, and what was merged into it and left it since."""
    row = owner.execute(
        "SELECT built_rows, merged_rows, dead_rows FROM cixml.index_versions "
        "WHERE corpus_id = %s AND state = 'serving'",
        [corpus_id],
    ).fetchone()
    assert row
    return row


def test_a_rewrite_goes_beside_the_graph_and_is_built_anew(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    runs.promote(owner, corpus)
    _, first = serving(owner, corpus)
    built, graph = size(owner, first), size(owner, f"{first}_graph")
    assert not ask(pipeline, corpus)
    for number in range(5):
        rewrite(owner, pipeline, corpus, number)
        assert_like_a_corpus_built_afresh(owner, pipeline, corpus)
        assert size(owner, f"{first}_graph") == graph, "nothing is inserted into a graph that is to be replaced"
    assert upkeep_of(owner, corpus) == (28, 0, 27)
    assert ask(pipeline, corpus)
    assert not due(pipeline, quiet_seconds=3600), "searches are fast meanwhile: it waits for quiet"
    runs.promote(owner, corpus)
    kind, again = serving(owner, corpus)
    assert (kind, again != first, size(owner, again)) == ("hnsw", True, built)
    assert owner.execute("SELECT to_regclass(%s)", [f"cixml.{first}"]).fetchone() == (None,)
    assert owner.execute("SELECT to_regclass(%s)", [f"cixml.{first}_graph"]).fetchone() == (None,)
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)
    assert upkeep_of(owner, corpus) == (28, 0, 0)
    assert not ask(pipeline, corpus)


def test_more_beside_a_graph_than_a_search_should_scan_waits_for_no_quiet(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    runs.promote(owner, corpus)
    make_job(owner, "https://example.com/d")
    index(pipeline, b"d", *(f"d {number}" for number in range(21)))
    assert ask(pipeline, corpus)
    assert not due(pipeline, quiet_seconds=3600)
    assert not ask(pipeline, corpus, rows=4)
    assert due(pipeline, quiet_seconds=3600), "what was asked for became urgent"
    promoted = runs.promote(owner, corpus)
    assert promoted is not None
    assert promoted.rows == 49
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)


def test_a_little_beside_a_graph_is_merged_into_it(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_upkeep, "MOST_MERGED", 0.5)
    monkeypatch.setattr(graph_upkeep, "SLICE", 4)
    runs.promote(owner, corpus)
    _, own = serving(owner, corpus)
    make_job(owner, "https://example.com/d")
    index(pipeline, b"d", "shared by all", *(f"d {number}" for number in range(10)))
    beside = f"SELECT count(*) FROM ONLY cixml.{own}".encode()
    assert owner.execute(beside).fetchone() == (10,), "what the graph has is not stored again"
    assert runs.promote(owner, corpus) is None
    assert owner.execute(beside).fetchone() == (0,)
    assert (serving(owner, corpus), upkeep_of(owner, corpus)) == (("hnsw", own), (28, 10, 0))
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)
    make_job(owner, "https://example.com/e")
    index(pipeline, b"e", *(f"e {number}" for number in range(5)))
    assert runs.promote(owner, corpus) is None
    assert owner.execute(beside).fetchone() == (5,), "so few are left until there are more"
