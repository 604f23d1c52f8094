"""The rows of one batch from the claim to the flip, by the pipeline's own functions on a real Postgres."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from resources.errors import LeaseLostError
from resources.orchestration.lease import give_up
from resources.postgres import batches, chunks, claims, items, pages
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.items import ItemEnd
from resources.postgres.pages import HostPause
from resources.settings import PipelineSettings
from resources.types import BatchState, ItemStatus, Stage
from sensors.submitted_jobs import LONGEST_LOOK_SECONDS, claim
from tests.builders import make_job, make_page, make_worker
from tests.database import Database
from tests.rows import MODEL, begin, claim_all, embed_and_flip, index, store_document


def test_a_job_ends_in_the_transaction_that_makes_its_document_live(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    ended = index(pipeline, b"body", "one two", "three four")
    assert [item.status for item in ended] == [ItemStatus.INDEXED]
    assert owner.execute("SELECT status, items_open FROM cixml.jobs WHERE id = %s", [job.job_id]).fetchone() == (
        "succeeded",
        0,
    )
    assert owner.execute("SELECT count(*) FROM cixml.documents WHERE live_version_id IS NOT NULL").fetchone() == (1,)
    assert owner.execute("SELECT count(*) FROM cixml.usage_ledger").fetchone() == (2,)
    assert owner.execute("SELECT count(*) FROM cixml.leases").fetchone() == (0,)


def test_an_inserted_paragraph_owes_one_vector(owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    index(pipeline, b"first", "two", "three")
    job = make_job(owner, "https://example.com/a")
    index(pipeline, b"second", "one", "two", "three")
    row = owner.execute(
        "SELECT chunks_added, chunks_kept, chunks_removed, change FROM cixml.job_items WHERE job_id = %s", [job.job_id]
    ).fetchone()
    assert row == (1, 2, 0, "changed")
    assert owner.execute("SELECT count(*) FROM cixml.usage_ledger").fetchone() == (3,)


def test_a_document_without_every_vector_does_not_flip(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    hashes = store_document(pipeline, batch, b"body", "one", "two")
    assert embed_and_flip(pipeline, batch, hashes[:1], job.item_ids) == []
    assert owner.execute("SELECT count(*) FROM cixml.documents WHERE live_version_id IS NOT NULL").fetchone() == (0,)


def test_an_older_fetch_does_not_replace_a_newer_one(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    index(pipeline, b"newer", "new text")
    live = owner.execute("UPDATE cixml.documents SET fetch_seq = 1000000 RETURNING live_version_id").fetchone()
    make_job(owner, "https://example.com/a")
    index(pipeline, b"older", "old text")
    assert owner.execute("SELECT live_version_id FROM cixml.documents").fetchone() == live


def test_a_batch_begins_once(owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    batch_id = claim_all(pipeline)[0].batch_id
    begin(pipeline, batch_id)
    with pytest.raises(LeaseLostError):
        begin(pipeline, batch_id, "run-2")


def test_a_late_writer_writes_nothing(owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    hashes = store_document(pipeline, batch, b"body", "one")
    owner.execute("UPDATE cixml.batches SET lease_until = now() - interval '1 second'")
    with pipeline.transaction() as connection:
        expired = batches.expired(connection)
        assert expired is not None
        give_up(connection, expired.batch_id, BatchState.LOST, PipelineSettings())
    with pytest.raises(LeaseLostError):
        embed_and_flip(pipeline, batch, hashes, job.item_ids)
    assert owner.execute("SELECT count(*) FROM cixml.usage_ledger").fetchone() == (0,)
    assert owner.execute("SELECT start_stage, attempts FROM cixml.job_items").fetchone() == ("embedding", 1)


def test_the_reaper_passes_by_a_batch_in_mid_write(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, database: Database
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    owner.execute("UPDATE cixml.batches SET lease_until = now() - interval '1 second'")
    reaper = PipelineDatabase(database.pipeline_url)
    with pipeline.transaction() as writing, reaper.transaction() as reaping:
        batches.fence(writing, batch_id=batch.batch_id, run_id="run-1")
        assert batches.expired(reaping) is None
    reaper.close()


def test_an_item_that_keeps_dying_becomes_a_dead_letter(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    for attempt in range(PipelineSettings().max_attempts):
        owner.execute("UPDATE cixml.work_queue SET ready_at = now()")
        begin(pipeline, claim_all(pipeline)[0].batch_id, f"run-{attempt}")
        owner.execute("UPDATE cixml.batches SET lease_until = now() - interval '1 second' WHERE finished_at IS NULL")
        with pipeline.transaction() as connection:
            if (expired := batches.expired(connection)) is not None:
                give_up(connection, expired.batch_id, BatchState.LOST, PipelineSettings())
    row = owner.execute("SELECT status, failed_stage, error ->> 'code', attempts FROM cixml.job_items").fetchone()
    assert row == ("failed", "scraping", "attempts_exhausted", 5)
    assert owner.execute("SELECT status, failed_stage FROM cixml.jobs WHERE id = %s", [job.job_id]).fetchone() == (
        "failed",
        "scraping",
    )


def test_waiting_for_the_embedding_server_costs_no_attempt(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    store_document(pipeline, batch, b"body", "one")
    with pipeline.transaction() as connection:
        items.release(
            connection,
            batch_id=batch.batch_id,
            item_ids=job.item_ids,
            delay_seconds=60,
            reason="breaker_open",
            counts_attempt=False,
        )
        batches.finish(connection, batch_id=batch.batch_id, state=BatchState.DONE)
    row = owner.execute("SELECT status, attempts, waiting_reason, start_stage FROM cixml.job_items").fetchone()
    assert row == ("queued", 0, "breaker_open", "embedding")
    assert claim_all(pipeline) == []


def test_how_long_an_item_waited_is_told_by_its_first_run_alone(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    waited = []
    for run_id in ("first", "after the pause of its host"):
        (claimed,) = claim_all(pipeline)
        with pipeline.transaction() as connection:
            waited.append(batches.begin(connection, batch_id=claimed.batch_id, run_id=run_id, lease_seconds=15))
            items.release(
                connection,
                batch_id=claimed.batch_id,
                item_ids=job.item_ids,
                delay_seconds=0.0,
                reason="host_paused",
                counts_attempt=False,
            )
            batches.finish(connection, batch_id=claimed.batch_id, state=BatchState.DONE)
    assert [len(each) for each in waited] == [1, 0]


def test_a_job_with_good_and_failed_items_is_partial(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a", "https://example.com/b")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    ends = [
        ItemEnd(item_id=job.item_ids[0], status=ItemStatus.UNCHANGED, change="unchanged"),
        ItemEnd(
            item_id=job.item_ids[1],
            status=ItemStatus.FAILED,
            failed_stage=Stage.SCRAPING,
            error={"code": "http_4xx", "retryable": False, "detail": "404"},
        ),
    ]
    with pipeline.transaction() as connection:
        items.end(connection, batch_id=batch.batch_id, ends=ends)
    row = owner.execute("SELECT status, failed_stage, error ->> 'code', items_good, items_failed FROM cixml.jobs")
    assert row.fetchone() == ("partial", "scraping", "http_4xx", 1, 1)


def test_callers_take_turns_whatever_one_has_queued(owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> None:
    make_worker(owner, slots=2)
    make_job(owner, *[f"https://example.com/{number}" for number in range(300)], caller="c_a")
    small = make_job(owner, "https://example.com/only", caller="c_b", corpus="other")
    claim_all(pipeline)
    leased = owner.execute("SELECT caller_id, count(*) FROM cixml.leases GROUP BY 1 ORDER BY 1").fetchall()
    assert [caller for caller, _ in leased] == ["c_a", "c_b"]
    assert owner.execute("SELECT item_id FROM cixml.leases WHERE caller_id = 'c_b'").fetchone() == (small.item_ids[0],)


def test_a_host_that_asked_for_a_pause_is_not_claimed(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    with pipeline.transaction() as connection:
        pages.hold_hosts(connection, [HostPause(item_id=job.item_ids[0], seconds=60, reason="http_429")])
    assert claim_all(pipeline) == []


def test_a_backfill_leases_only_documents_that_lack_vectors(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a", "https://example.com/b")
    index(pipeline, b"body", "one")
    with pipeline.transaction() as connection:
        serving = batches.serving_index(connection, corpus_id=job.corpus_id)
        batch_id = batches.open_backfill(
            connection, corpus_id=job.corpus_id, run_id="backfill", index=serving, lease_seconds=15
        )
        rows = chunks.of_batch(
            connection, batch_id=batch_id, chunking_fp=serving.chunking_fp, relation=serving.relation
        )
    assert rows == []
    owner.execute(f"DELETE FROM cixml.{serving.relation}")
    with pipeline.transaction() as connection:
        batch_id = batches.open_backfill(
            connection, corpus_id=job.corpus_id, run_id="again", index=serving, lease_seconds=15
        )
        rows = chunks.of_batch(
            connection, batch_id=batch_id, chunking_fp=serving.chunking_fp, relation=serving.relation
        )
    assert {row.is_stored for row in rows} == {False}
    assert {row.item_id for row in rows} == {None}


def test_a_refresh_is_a_job_of_the_owner_over_the_documents_due(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    index(pipeline, b"body", "one")

    def open_refresh(older_than_seconds: float) -> UUID | None:
        with pipeline.transaction() as connection:
            return batches.open_refresh(
                connection,
                corpus_id=job.corpus_id,
                run_id="refresh",
                older_than_seconds=older_than_seconds,
                limit=10,
                lease_seconds=15,
            )

    assert open_refresh(3600) is None
    batch_id = open_refresh(-1)
    assert batch_id is not None
    with pipeline.transaction() as connection:
        [item] = pages.fetch_items(connection, batch_id=batch_id)
    assert (item.url, item.etag) == ("https://example.com/a", '"1"')


def test_an_idle_sensor_looks_again_only_after_its_longest_pause(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    with pipeline.transaction() as connection:
        assert claim(connection, PipelineSettings(), models=[MODEL]) == ([], LONGEST_LOOK_SECONDS)


def test_a_sensor_looks_again_when_a_waiting_item_is_due(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    owner.execute("UPDATE cixml.work_queue SET ready_at = now() + interval '2 seconds'")
    with pipeline.transaction() as connection:
        claimed, pause = claim(connection, PipelineSettings(), models=[MODEL])
    assert claimed == []
    assert 1.0 < pause <= 2.1


def test_pages_are_stored_in_the_order_of_their_hashes_so_that_two_batches_never_deadlock(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, *[f"https://example.com/{number}" for number in range(10)])
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    with pipeline.transaction() as connection:
        waiting = pages.fetch_items(connection, batch_id=batch.batch_id)
        pages.store_pages(connection, [(item, make_page(item.url.encode(), url=item.url)) for item in waiting])
    stored = [row[0] for row in owner.execute("SELECT body_sha256 FROM cixml.document_versions ORDER BY id")]
    assert stored == sorted(stored)
    assert len(stored) == 10


def test_an_older_fetch_does_not_go_live_after_a_newer_one_found_the_page_unchanged(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    index(pipeline, b"stays", "old text")
    live = owner.execute("SELECT live_version_id FROM cixml.documents").fetchone()
    late = make_job(owner, "https://example.com/a")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id, "late")
    with pipeline.transaction() as connection:
        [fetched] = pages.fetch_items(connection, batch_id=batch.batch_id)
    hashes = store_document(pipeline, batch, b"passing", "passing text")
    newer = replace(fetched, fetch_seq=10**6)
    with pipeline.transaction() as connection:
        pages.touch(connection, item=newer, checked_at=datetime.now(UTC))
    embed_and_flip(pipeline, batch, hashes, late.item_ids, "late")
    assert owner.execute("SELECT live_version_id FROM cixml.documents").fetchone() == live


def test_a_corpus_of_a_changed_model_waits(owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    owner.execute("UPDATE cixml.models SET is_enabled = false")
    assert claim_all(pipeline) == []


def test_an_item_that_nobody_can_work_on_takes_no_runs_turn(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    (batch,) = claim_all(pipeline)
    make_job(owner, "https://example.com/b", caller="c_b")

    def others_wait() -> bool:
        with pipeline.transaction() as connection:
            return batches.others_wait(connection, batch_id=batch.batch_id)

    assert others_wait()
    owner.execute("UPDATE cixml.models SET is_enabled = false")
    assert not others_wait()
    owner.execute("UPDATE cixml.models SET is_enabled = true")
    owner.execute("INSERT INTO cixml.hosts VALUES ('example.com', now() + interval '1 minute', 'http_429')")
    assert not others_wait()


def test_a_run_with_several_backfill_batches_holds_one_slot(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner, slots=4)
    corpus_id = make_job(owner, "https://example.com/a").corpus_id
    for run_id in ("one", "one", "two"):
        owner.execute(
            "INSERT INTO cixml.batches (kind, corpus_id, run_id, state, items, lease_until) "
            "VALUES ('backfill', %s, %s, 'running', 1, now() + interval '1 minute')",
            [corpus_id, run_id],
        )
    with pipeline.transaction() as connection:
        assert claims.capacity(connection, small_batch_items=10).slots == 2
    for slots, left in ((1, 3), (5, 4)):  # a worker for backfills alone has room for one of them, then for both
        owner.execute(
            "INSERT INTO cixml.workers (id, queues, slots) VALUES ('b', '{backfill}', %s) "
            "ON CONFLICT (id) DO UPDATE SET slots = excluded.slots",
            [slots],
        )
        with pipeline.transaction() as connection:
            assert claims.capacity(connection, small_batch_items=10).slots == left


def test_a_write_over_a_limit_of_the_server_is_no_outage(pipeline: PipelineDatabase) -> None:
    too_large = b"DO $$ BEGIN RAISE EXCEPTION 'row is too big' USING ERRCODE = '54000'; END $$"
    with pytest.raises(psycopg.errors.ProgramLimitExceeded), pipeline.transaction() as connection:
        connection.execute(too_large)


def test_a_refresh_leaves_out_what_is_queued(owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    index(pipeline, b"body", "one")
    make_job(owner, "https://example.com/a")
    with pipeline.transaction() as connection:
        batch_id = batches.open_refresh(
            connection, corpus_id=job.corpus_id, run_id="r", older_than_seconds=-1, limit=10, lease_seconds=15
        )
    assert batch_id is None


def test_metadata_of_a_resubmission_is_kept_also_when_the_page_did_not_change(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_worker(owner)
    make_job(owner, "https://example.com/a")
    index(pipeline, b"body", "one")
    make_job(owner, "https://example.com/a")
    owner.execute('UPDATE cixml.job_items SET metadata = \'{"product": "x"}\' WHERE finished_at IS NULL')
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    with pipeline.transaction() as connection:
        [item] = pages.fetch_items(connection, batch_id=batch.batch_id)
        pages.touch(connection, item=item, checked_at=datetime.now(UTC))
    assert owner.execute("SELECT metadata FROM cixml.documents").fetchone() == ({"product": "x"},)
