"""A corpus that outgrew the exact scan moves to a relation of its own, whatever else happens to it meanwhile."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import errors

from resources.errors import DatabaseUnavailableError, LeaseLostError
from resources.orchestration import tags
from resources.orchestration.lease import give_up
from resources.orchestration.promotion import Promoted, promote
from resources.postgres import batches, promotions, stale_vectors
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import PipelineSettings
from resources.types import BatchState
from tests.builders import make_job
from tests.database import Database
from tests.promoting import (
    Owner,
    Runs,
    ask,
    assert_like_a_corpus_built_afresh,
    due,
    hashes,
    live_hashes,
    make_large_corpus,
    serving,
    versions,
)
from tests.rows import begin, claim_all, embed_and_flip, index, store_document, vector_of


@pytest.fixture
def corpus(owner: Owner, pipeline: PipelineDatabase) -> UUID:
    return make_large_corpus(owner, pipeline)


@pytest.fixture
def runs(database: Database) -> Iterator[Runs]:
    found = Runs(database)
    yield found
    found.parts.database.close()


def test_a_corpus_over_the_threshold_moves_to_a_relation_of_its_own(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    _, shared = serving(owner, corpus)
    other = make_job(owner, "https://example.com/a", corpus="other")
    index(pipeline, b"x", "small")
    promoted = runs.promote(owner, corpus)
    assert promoted is not None
    assert promoted.rows == 28
    kind, own = serving(owner, corpus)
    assert (kind, versions(owner, corpus)) == ("hnsw", {"exact": "retired", "hnsw": "serving"})
    assert hashes(owner, shared, corpus) == set(), "its rows leave what it shared"
    assert hashes(owner, shared, other.corpus_id) != set()
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)
    definition = owner.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexdef ~ 'hnsw'", [f"{own}_graph"]
    )
    assert "halfvec_ip_ops" in str(definition.fetchone())
    assert owner.execute("SELECT count(*) FROM cixml.leases").fetchone() == (0,)
    assert runs.promote(owner, corpus) is None, "once is enough"


def test_a_callers_run_asks_and_leaves_the_build_to_a_run_of_its_own(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    make_job(owner, "https://example.com/d")
    [claimed] = claim_all(pipeline)
    work = runs.work(claimed.partition_key, **{tags.BATCH: str(claimed.batch_id)})
    assert promote(work) is None
    work.close()
    assert versions(owner, corpus) == {"exact": "serving", "hnsw": "building"}
    assert not ask(pipeline, corpus), "one at a time"


def test_a_small_corpus_and_wide_vectors_are_told_apart_by_bytes(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID
) -> None:
    assert not ask(pipeline, corpus, rows=30)
    owner.execute("UPDATE cixml.models SET dimension = 768")
    assert ask(pipeline, corpus, rows=30)


def test_a_corpus_that_shrank_to_half_the_threshold_goes_back(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    _, shared = serving(owner, corpus)
    runs.promote(owner, corpus)
    _, own = serving(owner, corpus)
    assert not ask(pipeline, corpus, rows=50), "28 chunks: not under half of it"
    assert ask(pipeline, corpus, rows=70)
    moved = runs.promote(owner, corpus)
    assert moved is not None
    assert (moved.rows, serving(owner, corpus)) == (28, ("exact", shared))
    assert owner.execute("SELECT to_regclass(%s)", [f"cixml.{own}"]).fetchone() == (None,)
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)


def test_a_graph_is_asked_before_it_serves(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted = runs.promote(owner, corpus)
    assert promoted is not None
    assert promoted.recall is not None
    assert (promoted.recall.recall, promoted.recall.ef_search) == (1.0, 80)
    make_job(owner, "https://example.com/other", corpus="other")
    index(pipeline, b"x", *(f"other {number}" for number in range(30)))
    other = owner.execute("SELECT id FROM cixml.corpora WHERE name = 'other'").fetchone()
    assert other
    monkeypatch.setattr("resources.postgres.recall._recall", lambda *_: 0.9)
    with pytest.raises(dg.Failure, match=r"0\.900 of the ten nearest"):
        runs.promote(owner, other[0])
    assert serving(owner, other[0])[0] == "exact"


def test_a_build_waits_for_quiet_unless_the_scan_is_too_slow_to_wait(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID
) -> None:
    ask(pipeline, corpus)
    assert due(pipeline, quiet_seconds=60) == []
    owner.execute("UPDATE cixml.corpus_levels SET changed_at = now() - interval '61 seconds'")
    assert len(due(pipeline, quiet_seconds=60)) == 1
    owner.execute("UPDATE cixml.corpus_levels SET changed_at = now()")
    ask(pipeline, corpus, rows=5)
    assert len(due(pipeline, quiet_seconds=60)) == 1


def test_what_a_run_had_stored_before_the_flip_is_not_paid_again(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    """The run began on the exact index, stored half of its page there, and goes on in the new one."""
    job = make_job(owner, "https://example.com/d")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    owed = store_document(pipeline, batch, b"d", *(f"d {number}" for number in range(10)))
    assert embed_and_flip(pipeline, batch, owed[:5], []) == []
    assert runs.promote(owner, corpus) is not None
    assert set(store_document(pipeline, batch, b"d")) == set(owed[5:])
    assert len(embed_and_flip(pipeline, batch, owed[5:], job.item_ids)) == 1
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)
    assert hashes(owner, batch.serving.relation, corpus) == set()
    paid = owner.execute("SELECT count(*) FROM cixml.usage_ledger").fetchone()
    assert paid == (len(live_hashes(owner, corpus)),)


def test_a_corpus_is_whole_after_a_promotion_under_ingest(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, database: Database
) -> None:
    stopped = threading.Event()
    written: list[int] = []

    def ingest() -> None:
        with psycopg.connect(database.owner_url, autocommit=True) as rows:
            mine = PipelineDatabase(database.pipeline_url)
            number = 0
            while not stopped.is_set():
                number += 1
                make_job(rows, f"https://example.com/{number % 7}")
                written.append(
                    len(index(mine, f"{number}".encode(), "shared by all", f"n {number}", f"m {number % 9}"))
                )
            mine.close()

    writer = threading.Thread(target=ingest)
    writer.start()
    try:
        while sum(written) < 5:
            stopped.wait(0.01)
        promoted = runs.promote(owner, corpus)
        after = len(written)
        while len(written) < after + 5 and writer.is_alive():
            stopped.wait(0.01)
    finally:
        stopped.set()
        writer.join()
    assert promoted is not None
    assert len(written) >= after + 5, "writers go on after the flip"
    assert serving(owner, corpus)[0] == "hnsw"
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)


def test_a_killed_build_is_begun_anew(owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs) -> None:
    ask(pipeline, corpus)
    with pipeline.transaction() as connection:
        opened = promotions.open_build(connection, corpus_id=corpus, run_id="killed", lease_seconds=15)
        assert opened
        target = promotions.index_version(connection, index_version_id=opened.index_version_id)
        promotions.make_relation(connection, index=target)
        source = batches.serving_index(connection, corpus_id=corpus)
        promotions.copy_missing(connection, corpus_id=corpus, source=source, target=target)
    assert due(pipeline) == [], "it is under work"
    assert runs.promote(owner, corpus) is None, "another run does not touch it"
    owner.execute("UPDATE cixml.batches SET lease_until = now() - interval '1 second' WHERE finished_at IS NULL")
    with pipeline.transaction() as connection:
        expired = batches.expired(connection)
        assert expired
        give_up(connection, expired.batch_id, BatchState.LOST, PipelineSettings())
    assert due(pipeline) == [opened.index_version_id]
    promoted = runs.promote(owner, corpus)
    assert promoted is not None
    assert promoted.rows == 28
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)


def test_a_build_whose_worker_dies_ends_in_the_server_and_the_next_one_begins_anew(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, database: Database
) -> None:
    register_vector(owner)
    _, shared = serving(owner, corpus)
    many = [(corpus, uuid4()) for _ in range(15_000)]  # some seconds of building
    with pipeline.transaction() as connection, connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO cixml.{shared} VALUES (%s, %s, %s)".encode(),
            [(*key, HalfVector(vector_of(key[1]))) for key in many],
        )
    died: list[Exception] = []

    def build() -> None:
        try:
            runs.promote(owner, corpus)
        except (LeaseLostError, DatabaseUnavailableError) as error:
            died.append(error)

    def wait_for_builds(number: int) -> None:
        deadline = time.monotonic() + 30
        with pipeline.session() as connection:  # the same login: another does not see what it runs
            while connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%build_hnsw%' AND state = 'active' "
                "AND pid <> pg_backend_pid()"
            ).fetchone() != (number,):
                assert time.monotonic() < deadline
                time.sleep(0.05)

    worker = threading.Thread(target=build)
    worker.start()
    wait_for_builds(1)
    with socket.socket(fileno=os.dup(runs.parts.database._connection.fileno())) as client:  # type: ignore[union-attr]
        client.shutdown(socket.SHUT_RDWR)
    worker.join(timeout=30)
    assert died
    wait_for_builds(0)
    assert serving(owner, corpus)[0] == "exact"
    owner.execute(f"DELETE FROM cixml.{shared} WHERE chunk_hash = ANY (%s)".encode(), [[key[1] for key in many]])
    owner.execute("UPDATE cixml.batches SET lease_until = now() - interval '1 second' WHERE finished_at IS NULL")
    with pipeline.transaction() as connection:
        while (expired := batches.expired(connection)) is not None:
            give_up(connection, expired.batch_id, BatchState.LOST, PipelineSettings())
    assert runs.promote(owner, corpus) is not None
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)


def test_a_run_killed_after_the_flip_is_cleared_up_after(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    _, shared = serving(owner, corpus)
    runs.promote(owner, corpus)
    _, own = serving(owner, corpus)
    owner.execute(
        "UPDATE cixml.index_versions SET released_at = NULL, state_changed_at = now() - interval '2 minutes' "
        "WHERE state = 'retired'"
    )
    owner.execute(f"INSERT INTO cixml.{shared} SELECT * FROM cixml.{own}".encode())
    assert len(due(pipeline)) == 1
    assert runs.promote(owner, corpus) is None
    assert hashes(owner, shared, corpus) == set()
    assert due(pipeline) == []


def test_two_runs_that_clear_up_one_promotion_leave_no_vector(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, database: Database
) -> None:
    """The second comes while the first has removed a slice and not yet committed it."""
    _, shared = serving(owner, corpus)
    runs.promote(owner, corpus)
    _, own = serving(owner, corpus)
    owner.execute("UPDATE cixml.index_versions SET released_at = NULL WHERE state = 'retired'")
    owner.execute(f"INSERT INTO cixml.{shared} SELECT * FROM cixml.{own}".encode())
    other = PipelineDatabase(database.pipeline_url)
    with pipeline.transaction() as connection, other.transaction() as second:
        [leftover] = promotions.leftovers(connection, corpus_id=corpus)
        last = promotions.clear_slice(connection, corpus_id=corpus, index_version_id=leftover)
        assert last is not None
        assert promotions.clear_slice(second, corpus_id=corpus, index_version_id=leftover) is None
    other.close()
    released = "SELECT released_at IS NOT NULL FROM cixml.index_versions WHERE id = %s"
    assert owner.execute(released, [leftover]).fetchone() == (False,), "by the one that has removed the last"
    with pipeline.transaction() as connection:
        assert promotions.clear_slice(connection, corpus_id=corpus, index_version_id=leftover, after=last) is None
    assert owner.execute(released, [leftover]).fetchone() == (True,)
    assert hashes(owner, shared, corpus) == set()


def test_vectors_that_another_version_needs_by_now_stay(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    _, shared = serving(owner, corpus)
    runs.promote(owner, corpus)
    _, own = serving(owner, corpus)
    owner.execute("UPDATE cixml.index_versions SET released_at = NULL WHERE state = 'retired'")
    owner.execute(f"INSERT INTO cixml.{shared} SELECT * FROM cixml.{own}".encode())
    with pipeline.transaction() as connection:
        [leftover] = promotions.leftovers(connection, corpus_id=corpus)
        owner.execute(
            "INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state) "
            "SELECT corpus_id, model_id, chunking, chunking_fp, relation, 'exact', 'building' "
            "FROM cixml.index_versions WHERE id = %s",
            [leftover],
        )
        assert promotions.clear_slice(connection, corpus_id=corpus, index_version_id=leftover) is None
    assert len(hashes(owner, shared, corpus)) == 28


def test_a_retired_version_with_a_relation_of_its_own_is_dropped(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    runs.promote(owner, corpus)
    _, own = serving(owner, corpus)
    owner.execute("UPDATE cixml.index_versions SET state = 'retired' WHERE relation = %s", [own])
    owner.execute("UPDATE cixml.index_versions SET state = 'serving' WHERE kind = 'exact'")
    with pipeline.transaction() as connection:
        [leftover] = promotions.leftovers(connection, corpus_id=corpus)
        assert promotions.clear_slice(connection, corpus_id=corpus, index_version_id=leftover) is None
    assert owner.execute("SELECT to_regclass(%s)", [f"cixml.{own}"]).fetchone() == (None,)


def test_a_corpus_with_a_lost_vector_stays_where_it_is(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    _, shared = serving(owner, corpus)
    lost = min(live_hashes(owner, corpus))
    owner.execute(f"DELETE FROM cixml.{shared} WHERE chunk_hash = %s".encode(), [lost])
    with pytest.raises(dg.Failure, match="live chunks have no vector"):
        runs.promote(owner, corpus)
    assert versions(owner, corpus) == {"exact": "serving", "hnsw": "building"}
    assert len(hashes(owner, shared, corpus)) == 27


def test_a_sweep_waits_for_a_build_under_way(owner: Owner, pipeline: PipelineDatabase, corpus: UUID) -> None:
    ask(pipeline, corpus)
    make_job(owner, "https://example.com/a")
    index(pipeline, b"new", "a new")

    def queued() -> int:
        with pipeline.transaction() as connection:
            stale_vectors.sweep(connection, corpus_id=corpus)
        row = owner.execute("SELECT count(*) FROM cixml.stale_hashes").fetchone()
        assert row
        return int(row[0])

    with pipeline.transaction() as connection:
        assert promotions.open_build(connection, corpus_id=corpus, run_id="builds", lease_seconds=15)
    assert queued() == 10
    owner.execute("DELETE FROM cixml.leases WHERE item_id IS NULL")
    assert queued() == 0


def test_the_flip_waits_for_a_writer_and_copies_what_it_wrote(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    job = make_job(owner, "https://example.com/d")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    owed = store_document(pipeline, batch, b"d", "written during the build")
    results: list[Promoted | None] = []
    builder = threading.Thread(target=lambda: results.append(runs.promote(owner, corpus)))
    with pipeline.transaction():
        embed_and_flip(pipeline, batch, owed, job.item_ids)  # stays open, and so does its share of the lock
        builder.start()
        builder.join(timeout=1.0)
        assert builder.is_alive(), "no flip without the lock"
    builder.join(timeout=30)
    assert results[0] is not None
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)


def test_what_comes_after_the_mark_is_copied_and_verified_by_itself(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID
) -> None:
    """One page is cut before the mark and embedded after it, another comes whole after it."""
    ask(pipeline, corpus)
    with pipeline.transaction() as connection:
        opened = promotions.open_build(connection, corpus_id=corpus, run_id="builds", lease_seconds=15)
        assert opened
        target = promotions.index_version(connection, index_version_id=opened.index_version_id)
        source = batches.serving_index(connection, corpus_id=corpus)
        promotions.make_relation(connection, index=target)
    job = make_job(owner, "https://example.com/d")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    owed = store_document(pipeline, batch, b"d", "d one", "d two")
    with pipeline.transaction() as connection:
        last_set = promotions.mark(connection)
    with pipeline.transaction() as connection:
        after = promotions.since(connection, corpus_id=corpus, index=target, last_set=last_set)
        assert promotions.copy_missing(connection, corpus_id=corpus, source=source, target=target) == 28
        lost = promotions.live_chunks_without_vector(connection, corpus_id=corpus, index=target, after=after)
        assert lost == 0
    assert len(embed_and_flip(pipeline, batch, owed, job.item_ids)) == 1
    make_job(owner, "https://example.com/e")
    assert len(index(pipeline, b"e", "shared by all", "e one")) == 1

    def missing(connection: psycopg.Connection[Any]) -> tuple[int, int]:
        return (
            promotions.live_chunks_without_vector(connection, corpus_id=corpus, index=target, after=after),
            promotions.new_live_chunks_without_vector(connection, corpus_id=corpus, index=target, after=after),
        )

    with pipeline.transaction() as connection:
        assert missing(connection) == (0, 3)
        for limit, copied in ((2, 2), (5, 1), (5, 0)):
            found = promotions.copy_new(
                connection, corpus_id=corpus, source=source, target=target, after=after, limit=limit
            )
            assert found == copied
        assert missing(connection) == (0, 0)
        assert promotions.flip(connection, index=target)
    assert_like_a_corpus_built_afresh(owner, pipeline, corpus)


def test_a_version_cannot_name_another_relation_for_the_owner_to_drop(
    owner: Owner, corpus: UUID, database: Database
) -> None:
    statement = (
        "INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state) "
        "VALUES (%s, 1, '{}', 'fp', 'jobs', 'hnsw', 'building')"
    )
    with psycopg.connect(database.api_url) as login:
        login.execute("SELECT set_config('cixml.caller_id', 'c_a', true)")
        with pytest.raises(errors.CheckViolation):
            login.execute(statement, [corpus])


def test_the_owners_rights_are_lent_for_building_versions_alone(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, database: Database
) -> None:
    row = owner.execute("SELECT id FROM cixml.index_versions WHERE state = 'serving'").fetchone()
    assert row
    for statement in (
        "SELECT cixml.make_own_relation(%s)",
        "SELECT cixml.build_hnsw(%s, 16, 64)",
        "SELECT cixml.drop_own_relation(%s)",
    ):
        with psycopg.connect(database.pipeline_url) as login, pytest.raises(errors.NoDataFound):
            login.execute(statement.encode(), [row[0]])
        with psycopg.connect(database.api_url) as login, pytest.raises(errors.InsufficientPrivilege):
            login.execute(statement.encode(), [row[0]])


def test_a_relation_of_its_own_shows_another_caller_nothing(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, database: Database
) -> None:
    runs.promote(owner, corpus)
    _, own = serving(owner, corpus)
    with psycopg.connect(database.api_url, autocommit=True) as login:
        for caller, seen in (("c_a", 28), ("c_b", 0), ("", 0)):
            with login.transaction():
                login.execute("SELECT set_config('cixml.caller_id', %s, true)", [caller])
                assert login.execute(f"SELECT count(*) FROM cixml.{own}".encode()).fetchone() == (seen,)
    forced = owner.execute("SELECT relforcerowsecurity FROM pg_class WHERE relname = %s", [own]).fetchone()
    assert forced == (True,)
