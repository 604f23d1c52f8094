"""Vectors leave an index with the last chunk that used them, and not before."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from resources.postgres import batches, corpus_lock, stale_vectors
from resources.postgres.chunks import chunk_hash
from resources.postgres.database import Database as PipelineDatabase
from tests.builders import make_job, make_worker
from tests.database import Database
from tests.rows import begin, claim_all, embed_and_flip, index, store_document


def sweep(pipeline: PipelineDatabase, corpus_id: UUID) -> None:
    with pipeline.transaction() as connection:
        stale_vectors.sweep(connection, corpus_id=corpus_id)


def stored(owner: psycopg.Connection[Any], corpus_id: UUID) -> set[UUID]:
    row = owner.execute("SELECT relation FROM cixml.index_versions WHERE corpus_id = %s", [corpus_id]).fetchone()
    assert row
    rows = owner.execute(f"SELECT chunk_hash FROM cixml.{row[0]} WHERE corpus_id = %s".encode(), [corpus_id])
    return {row[0] for row in rows}


def hashes(*texts: str) -> set[UUID]:
    return {chunk_hash(text) for text in texts}


def test_a_flip_leaves_its_removed_chunks_to_the_sweep_and_shared_ones_stay(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    index(pipeline, b"1", "everywhere", "only in a", "goes")
    make_job(owner, "https://example.com/b")
    index(pipeline, b"2", "everywhere")
    make_job(owner, "https://example.com/c", corpus="other")
    index(pipeline, b"2", "goes")
    make_job(owner, "https://example.com/a")
    index(pipeline, b"3", "only in a")
    sweep(pipeline, job.corpus_id)
    assert stored(owner, job.corpus_id) == hashes("everywhere", "only in a")
    assert owner.execute("SELECT count(*) FROM cixml.stale_hashes").fetchone() == (0,)
    other = owner.execute("SELECT id FROM cixml.corpora WHERE name = 'other'").fetchone()
    assert other
    assert stored(owner, other[0]) == hashes("goes")


def test_a_sweep_waits_for_no_graph_that_is_being_built(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    """It holds the corpus's lock: all that stores pages would wait with it."""
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    index(pipeline, b"1", "goes")
    make_job(owner, "https://example.com/a")
    index(pipeline, b"2", "stays")
    row = owner.execute("SELECT relation FROM cixml.index_versions").fetchone()
    assert row
    with owner.transaction():
        owner.execute(f"LOCK TABLE cixml.{row[0]} IN SHARE MODE".encode())  # as CREATE INDEX does
        sweep(pipeline, job.corpus_id)
    assert stored(owner, job.corpus_id) == hashes("goes", "stays")
    sweep(pipeline, job.corpus_id)
    assert stored(owner, job.corpus_id) == hashes("stays"), "what was to be swept still is"


def test_a_sweep_takes_nothing_while_a_writer_is_at_work_and_sees_what_it_wrote(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, database: Database
) -> None:
    """The race: a version not committed yet relies on a hash that the sweep finds unused."""
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    index(pipeline, b"1", "moves")
    make_job(owner, "https://example.com/a")
    index(pipeline, b"2", "stays")
    moved = make_job(owner, "https://example.com/b")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    sweeper = PipelineDatabase(database.pipeline_url)
    with pipeline.transaction() as writing:
        corpus_lock.share(writing, corpus_id=job.corpus_id)
        sweep(sweeper, job.corpus_id)
        assert stored(owner, job.corpus_id) == hashes("moves", "stays")
    assert store_document(pipeline, batch, b"3", "moves") == []
    sweep(sweeper, job.corpus_id)
    assert stored(owner, job.corpus_id) == hashes("moves", "stays")
    assert len(embed_and_flip(pipeline, batch, [], moved.item_ids)) == 1
    sweeper.close()


def test_a_full_check_finds_the_vectors_of_pages_that_never_went_live(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    index(pipeline, b"1", "live")
    late = make_job(owner, "https://example.com/a")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id, "late")
    owed = store_document(pipeline, batch, b"2", "late")

    def queue() -> int:
        with pipeline.transaction() as connection:
            serving = batches.serving_index(connection, corpus_id=job.corpus_id)
            return stale_vectors.queue(connection, corpus_id=job.corpus_id, index=serving)

    assert embed_and_flip(pipeline, batch, owed, [], "late") == []
    assert queue() == 0, "it may still go live: its vectors are paid for"
    owner.execute("UPDATE cixml.documents SET fetch_seq = 1000000")
    embed_and_flip(pipeline, batch, [], late.item_ids, "late")
    assert queue() == 1
    assert queue() == 0, "once in the queue is enough"
    sweep(pipeline, job.corpus_id)
    assert stored(owner, job.corpus_id) == hashes("live")
