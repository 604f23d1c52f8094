"""What was deleted is gone at once for everybody, and in every layer when the receipt says so; nobody is in its way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from resources.errors import LeaseLostError
from resources.orchestration import tags
from resources.orchestration.deletion import PARTITIONS, Sweeper
from resources.orchestration.lease import give_up
from resources.postgres import batches, corpus_levels, corpus_lock, items, pages, promotions, stale_vectors
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.queries import query
from resources.postgres.receipts import DocumentFilter
from resources.settings import PipelineSettings
from resources.telemetry import metrics
from resources.types import BatchState
from tests.builders import make_corpus, make_job, make_page, make_worker
from tests.database import Database
from tests.deletion import Deleting, deleting, left_of, status_of, sweep, sweeper_of, wake
from tests.integration.test_cancellation import wait_for_lock
from tests.integration.test_lifeline import nothing
from tests.integration.test_stale_vectors import hashes, stored
from tests.rows import begin, claim_all, embed_and_flip, index, store_document

Owner = psycopg.Connection[Any]
A, B = "https://example.com/a", "https://example.com/b"


@pytest.fixture
def owner(database: Database) -> Iterator[Owner]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        make_worker(connection)
        yield connection


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def sweeper(database: Database, instance: DagsterInstance) -> Iterator[Sweeper]:
    with closing(sweeper_of(database, instance)) as found:
        yield found


@pytest.fixture
def delete(database: Database) -> Iterator[Deleting]:
    with deleting(database.api_url) as found:
        yield found


def one(owner: Owner, statement: str, *values: object) -> Any:
    row = owner.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row[0]


def document_of(owner: Owner, url: str) -> UUID:
    found: UUID = one(owner, "SELECT id FROM cixml.documents WHERE url_key = %s", url)
    return found


def partition_of(owner: Owner, corpus_id: UUID) -> str:
    return str(one(owner, "SELECT partition_key FROM cixml.corpora WHERE id = %s", corpus_id))


def levels(owner: Owner, corpus_id: UUID) -> tuple[int, int]:
    row = owner.execute(
        "SELECT documents, chunks FROM cixml.corpus_levels WHERE corpus_id = %s", [corpus_id]
    ).fetchone()
    assert row
    return row[0], row[1]


# A corpus ------------------------------------------------------------------------------------------------------------


def test_a_deleted_corpus_leaves_no_row_in_any_layer_and_its_neighbour_all_of_its_own(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper, instance: DagsterInstance
) -> None:
    corpus_id = make_corpus(owner)
    owner.execute("INSERT INTO cixml.grants VALUES (%s, 'c_reader', 'reader')", [corpus_id])
    for number, url in enumerate((A, B, A)):  # A twice: an old version, stale hashes
        make_job(owner, url)
        index(pipeline, b"body %d" % number, "in both", f"alone {number}")
    make_job(owner, A, corpus="other")
    index(pipeline, b"body 1", "in both", "of the other")
    other = make_corpus(owner, name="other")
    before = left_of(owner, other)
    own = own_relation(owner, corpus_id)
    waiting, running = make_job(owner, "https://example.com/c"), make_job(owner, "https://example.com/d")
    owner.execute(
        "UPDATE cixml.work_queue SET ready_at = now() + interval '1 day' WHERE item_id = %s", waiting.item_ids
    )
    (claimed,) = claim_all(pipeline)
    begin(pipeline, claimed.batch_id)
    key = partition_of(owner, corpus_id)
    instance.add_dynamic_partitions(PARTITIONS, [key])

    receipt = delete.corpus("c_a", corpus_id)
    assert status_of(owner, receipt) == ("pending", None, {})
    sweep(sweeper, owner)

    status, _, removed = status_of(owner, receipt)
    assert (status, left_of(owner, corpus_id)) == ("done", {})
    assert removed == {
        "documents": 2, "versions": 3, "chunk_sets": 3, "chunks": 6, "lexemes": 6, "vectors": 4 + 1, "page_bodies": 2,
        "jobs": 2, "items": 2, "batches": 1, "index_versions": 2, "grants": 1, "relations": 1, "partitions": 1,
    }  # fmt: skip
    assert one(owner, "SELECT to_regclass(%s) IS NULL", f"cixml.{own}")
    assert left_of(owner, other) == before
    assert not instance.has_dynamic_partition(PARTITIONS, key)
    rows = owner.execute(
        "SELECT j.status, i.status, j.items_open FROM cixml.jobs j JOIN cixml.job_items i ON i.job_id = j.id "
        "WHERE j.id IN (%s, %s)",
        [waiting.job_id, running.job_id],
    ).fetchall()
    assert rows == [("cancelled", "cancelled", 0)] * 2


def own_relation(owner: Owner, corpus_id: UUID) -> str:
    """Give the corpus a relation of its own with a vector, as a build leaves it when it is killed."""
    index_version_id = uuid4()
    relation = f"vectors_{index_version_id.hex}"
    owner.execute(
        "INSERT INTO cixml.index_versions (id, corpus_id, model_id, chunking, chunking_fp, relation, kind, state) "
        "SELECT %s, corpus_id, model_id, chunking, chunking_fp, %s, 'hnsw', 'building' FROM cixml.index_versions "
        "WHERE corpus_id = %s",
        [index_version_id, relation, corpus_id],
    )
    owner.execute("SELECT cixml.make_own_relation(%s)", [index_version_id])
    source = one(owner, "SELECT relation FROM cixml.models")
    owner.execute(
        f"INSERT INTO cixml.{relation} SELECT * FROM cixml.{source} WHERE corpus_id = %s LIMIT 1".encode(), [corpus_id]
    )
    return relation


def test_a_receipt_is_not_done_while_a_count_finds_what_no_step_removed(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    corpus_id = make_corpus(owner)
    make_job(owner, A)
    index(pipeline, b"body", "a chunk")
    owner.execute("INSERT INTO cixml.labels VALUES (%s, 0, 'q', '{x}')", [corpus_id])
    owner.execute(
        "CREATE FUNCTION cixml.keep_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        "CREATE TRIGGER kept BEFORE DELETE ON cixml.labels FOR EACH ROW EXECUTE FUNCTION cixml.keep_row()"
    )
    counted = metrics.orphans.labels("labels")._value
    before = counted.get()
    receipt = delete.corpus("c_a", corpus_id)
    for _ in range(3):
        sweep(sweeper, owner)
        wake(owner)
    status, waits_for, removed = status_of(owner, receipt)
    assert (status, waits_for, removed["chunks"]) == ("running", "orphans", 1)
    assert counted.get() == before + 1, "once, however often it is looked for"
    owner.execute("DROP TRIGGER kept ON cixml.labels")
    sweep(sweeper, owner)
    assert status_of(owner, receipt)[:2] == ("done", None)
    assert left_of(owner, corpus_id) == {}


def test_the_name_is_free_at_once_and_the_new_corpus_keeps_what_it_gets(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    index(pipeline, b"old", "old")
    delete.corpus("c_a", job.corpus_id)
    again = make_job(owner, A)
    assert again.corpus_id != job.corpus_id
    index(pipeline, b"new", "old", "new")
    sweep(sweeper, owner)
    assert left_of(owner, job.corpus_id) == {}
    assert stored(owner, again.corpus_id) == hashes("old", "new")


def test_nothing_of_a_deleted_corpus_is_claimed_begun_opened_or_written(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting
) -> None:
    job = make_job(owner, A)
    index(pipeline, b"1", "one")
    make_job(owner, A)
    (running,) = claim_all(pipeline)
    begin(pipeline, running.batch_id)
    make_job(owner, B)
    (claimed,) = claim_all(pipeline)
    make_job(owner, "https://example.com/c")
    with pipeline.transaction() as connection:
        serving = batches.serving_index(connection, corpus_id=job.corpus_id)
    owner.execute("UPDATE cixml.corpus_levels SET chunks = 1000000")
    assert delete.corpus("c_a", job.corpus_id)
    assert delete.corpus("c_a", job.corpus_id) is None

    assert claim_all(pipeline) == []
    with pytest.raises(LeaseLostError):
        begin(pipeline, claimed.batch_id, "run-2")
    with pytest.raises(LeaseLostError), pipeline.transaction() as connection:
        batches.fence(connection, batch_id=running.batch_id, run_id="run-1")
    with pipeline.transaction() as connection:
        beats = batches.beat(connection, batch_id=running.batch_id, run_id="run-1", lease_seconds=15)
        given: dict[str, Any] = {"corpus_id": job.corpus_id, "run_id": "r", "lease_seconds": 15}
        assert not beats
        assert batches.open_refresh(connection, older_than_seconds=0, limit=10, **given) is None
        assert not promotions.ask(connection, corpus_id=job.corpus_id, promote_rows=1)
        assert promotions.open_build(connection, **given) is None
    with pytest.raises(LeaseLostError), pipeline.transaction() as connection:
        batches.open_backfill(connection, index=serving, **given)
    assert one(owner, "SELECT count(*) FROM cixml.index_versions") == 1


def test_a_run_in_mid_write_is_waited_for_and_what_it_wrote_goes_too(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    with pipeline.transaction() as connection:
        waiting = pages.fetch_items(connection, batch_id=batch.batch_id)
    with pipeline.transaction() as writing:
        batches.fence(writing, batch_id=batch.batch_id, run_id="run-1")
        receipt = delete.corpus("c_a", job.corpus_id)
        sweep(sweeper, owner)
        assert status_of(owner, receipt)[:2] == ("running", "writer")
        pages.store_pages(writing, [(item, make_page(b"late", url=item.url)) for item in waiting])
    with pytest.raises(LeaseLostError), pipeline.transaction() as connection:
        batches.fence(connection, batch_id=batch.batch_id, run_id="run-1")
    wake(owner)
    sweep(sweeper, owner)
    assert (status_of(owner, receipt)[0], left_of(owner, job.corpus_id)) == ("done", {})


def test_a_deletion_waits_for_who_adds_to_the_corpus_and_sees_it(
    database: Database, owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    """A claim that looked before the tombstone and commits after it would leave a batch that nobody closes."""
    job = make_job(owner, A)
    answers: list[Any] = []
    late = threading.Thread(target=lambda: answers.append(delete.corpus("c_a", job.corpus_id)))
    with pipeline.transaction() as claiming:
        claiming.execute("SELECT cixml.hold_corpus(%s)", [job.corpus_id])
        late.start()
        wait_for_lock(owner)
        with psycopg.connect(database.pipeline_url) as other:
            assert other.execute("SELECT deleted_at FROM cixml.corpora").fetchone() == (None,)
    late.join()
    assert answers[0] is not None
    assert owner.execute("SELECT cixml.hold_corpus(%s)", [job.corpus_id]).fetchone() == (False,)


@pytest.mark.parametrize("what", ["run", "backfill", "dispatch"])
def test_the_partition_stays_while_dagster_may_name_it(
    database: Database, owner: Owner, pipeline: PipelineDatabase, delete: Deleting, instance: DagsterInstance, what: str
) -> None:
    job = make_job(owner, A)
    index(pipeline, b"1", "one")
    key = partition_of(owner, job.corpus_id)
    instance.add_dynamic_partitions(PARTITIONS, [key])
    run = backfill = None
    if what == "run":
        run = instance.create_run_for_job(nothing, status=DagsterRunStatus.STARTED, tags={tags.PARTITION: key})
    if what == "backfill":
        backfill = PartitionBackfill(
            backfill_id="b",
            status=BulkActionStatus.REQUESTED,
            from_failure=False,
            tags={},
            backfill_timestamp=0.0,
            asset_selection=[AssetKey("raw_pages")],
            partition_names=[key],
        )
        instance.add_backfill(backfill)
    receipt = delete.corpus("c_a", job.corpus_id)
    with closing(sweeper_of(database, instance, dispatch_seconds=30 if what == "dispatch" else 0)) as sweeper:
        sweep(sweeper, owner)
        assert status_of(owner, receipt)[:2] == ("running", what)
        assert left_of(owner, job.corpus_id) == {}
        assert instance.has_dynamic_partition(PARTITIONS, key)
        if run:
            instance.report_run_failed(run)
        if backfill:
            instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_FAILED))
        owner.execute("UPDATE cixml.batches SET id = uuidv7(interval '-1 hour')")
        wake(owner)
        sweep(sweeper, owner)
    assert status_of(owner, receipt)[0] == "done"
    assert not instance.has_dynamic_partition(PARTITIONS, key)


def test_two_sweepers_and_one_that_dies_in_between_end_at_the_same_sums(
    database: Database, owner: Owner, pipeline: PipelineDatabase, delete: Deleting, instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("resources.postgres.deletions.DOCUMENTS_AT_ONCE", 1)
    corpus_id = make_corpus(owner)
    for number in range(6):
        make_job(owner, f"{A}{number}")
        index(pipeline, b"%d" % number, f"text {number}")
    receipt = delete.corpus("c_a", corpus_id)
    with closing(sweeper_of(database, instance)) as dying:
        for _ in range(3):
            dying.step()  # each slice is a transaction: what a killed one had not committed is not there
    sweepers = [sweeper_of(database, instance) for _ in range(2)]
    threads = [threading.Thread(target=sweep_until_done, args=(each, database, receipt)) for each in sweepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in sweepers:
        each.close()
    status, _, removed = status_of(owner, receipt)
    assert (status, left_of(owner, corpus_id)) == ("done", {})
    assert {removed[layer] for layer in ("documents", "versions", "chunks", "vectors", "page_bodies")} == {6}


def sweep_until_done(sweeper: Sweeper, database: Database, receipt: Any) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        while status_of(owner, receipt)[0] != "done":
            sweeper.step()
            wake(owner)


# A document ----------------------------------------------------------------------------------------------------------


def test_a_deleted_document_goes_with_its_vectors_and_leaves_those_that_others_use(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    index(pipeline, b"1", "in both", "first of a")
    make_job(owner, A)
    index(pipeline, b"2", "in both", "second of a")
    make_job(owner, B)
    index(pipeline, b"2", "in both", "of b")
    receipt = delete.documents("c_a", job.corpus_id, DocumentFilter(document_id=document_of(owner, A)))
    assert one(owner, "SELECT count(*) FROM cixml.documents WHERE live_version_id IS NOT NULL") == 1
    assert levels(owner, job.corpus_id) == (1, 2)
    sweep(sweeper, owner)
    status, _, removed = status_of(owner, receipt)
    assert status == "done"
    assert removed == {
        "documents": 1, "versions": 2, "chunk_sets": 2, "chunks": 4, "lexemes": 4, "vectors": 2, "page_bodies": 1,
    }  # fmt: skip
    with pipeline.transaction() as connection:
        stale_vectors.sweep(connection, corpus_id=job.corpus_id)
        serving = batches.serving_index(connection, corpus_id=job.corpus_id)
        assert stale_vectors.queue(connection, corpus_id=job.corpus_id, index=serving) == 0
        findings = corpus_levels.check(connection, corpus_id=job.corpus_id, index=serving)
    assert findings.levels_agree
    assert findings.chunks_without_vector == 0
    assert stored(owner, job.corpus_id) == hashes("in both", "of b")


def test_the_url_submitted_again_is_a_new_document(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    index(pipeline, b"1", "old")
    old = document_of(owner, A)
    delete.documents("c_a", job.corpus_id, DocumentFilter(document_id=old))
    make_job(owner, A)
    index(pipeline, b"1", "old")
    assert document_of(owner, A) != old
    sweep(sweeper, owner)
    assert stored(owner, job.corpus_id) == hashes("old")
    assert levels(owner, job.corpus_id) == (1, 1)
    assert one(owner, "SELECT count(*) FROM cixml.documents") == 1


@pytest.mark.parametrize("stage", ["queued", "claimed", "fetching", "unchanged", "chunking", "embedding", "whole"])
def test_an_item_of_the_page_that_was_submitted_before_is_skipped_wherever_it_stands(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper, stage: str
) -> None:
    first = make_job(owner, A)
    index(pipeline, b"1", "old")
    job, batch, owed, waiting = make_job(owner, A), None, [], []
    if stage != "queued":
        (claimed,) = claim_all(pipeline)
        if stage != "claimed":
            batch = begin(pipeline, claimed.batch_id)
            with pipeline.transaction() as connection:
                waiting = pages.fetch_items(connection, batch_id=claimed.batch_id)
    if stage == "chunking":
        store_pages(pipeline, waiting)
    if batch and stage in ("embedding", "whole"):
        owed = store_document(pipeline, batch, b"2", "old", "new")
    old = document_of(owner, A)
    receipt = delete.documents("c_a", first.corpus_id, DocumentFilter(document_id=old))
    sweep(sweeper, owner)
    if batch is None and stage == "claimed":
        batch = begin(pipeline, claimed.batch_id)
    if batch:
        work_on(pipeline, batch, stage, waiting, owed, job.item_ids)
    wake(owner)
    sweep(sweeper, owner)
    assert status_of(owner, receipt)[0] == "done"
    row = owner.execute("SELECT status, items_open, items_good FROM cixml.jobs WHERE id = %s", [job.job_id]).fetchone()
    assert row == ("succeeded", 0, 1)
    assert one(owner, "SELECT status FROM cixml.job_items WHERE id = %s", *job.item_ids) == "skipped"
    assert one(owner, "SELECT count(*) FROM cixml.documents") == 0
    left = {"index_versions": 1, "corpus_levels": 1, "corpus_languages": 1}
    assert left_of(owner, first.corpus_id) == left
    assert levels(owner, first.corpus_id) == (0, 0)


def store_pages(pipeline: PipelineDatabase, waiting: list[pages.FetchItem]) -> None:
    with pipeline.transaction() as connection:
        pages.store_pages(connection, [(item, make_page(b"2", url=item.url)) for item in waiting])


def work_on(
    pipeline: PipelineDatabase,
    batch: batches.Batch,
    stage: str,
    waiting: list[pages.FetchItem],
    owed: list[UUID],
    item_ids: list[UUID],
) -> None:
    """What the run goes on to do, that knows nothing of the deletion; then it ends."""
    if stage == "fetching":
        store_pages(pipeline, waiting)
    if stage == "unchanged":
        with pipeline.transaction() as connection:
            end = items.ItemEnd(item_id=item_ids[0], status=items.ItemStatus.UNCHANGED, change="unchanged")
            items.end(connection, batch_id=batch.batch_id, ends=[end])
    if stage in ("chunking", "claimed"):
        assert store_document(pipeline, batch, b"2", "old", "new") == []
    if stage in ("embedding", "whole"):
        assert embed_and_flip(pipeline, batch, owed, item_ids) == []
    with pipeline.transaction() as connection:
        give_up(connection, batch.batch_id, BatchState.DONE, PipelineSettings())


def test_a_vector_that_comes_after_its_text_was_removed_is_not_kept(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    owed = store_document(pipeline, batch, b"1", "gone before it came")
    delete.documents("c_a", job.corpus_id, DocumentFilter(document_id=document_of(owner, A)))
    sweep(sweeper, owner)
    assert embed_and_flip(pipeline, batch, owed, job.item_ids) == []
    assert stored(owner, job.corpus_id) == set()
    assert one(owner, "SELECT count(*) FROM cixml.usage_ledger") == 1, "it was paid for"


def test_a_filter_deletes_what_passes_every_condition(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    corpus_id = make_corpus(owner)
    for url in (A, f"{A}/1", f"{A}/2", B):
        make_job(owner, url)
        index(pipeline, url.encode(), url)
    owner.execute('UPDATE cixml.documents SET metadata = \'{"p": "x", "n": 1}\' WHERE url <> %s', [A])
    receipt = delete.documents("c_a", corpus_id, DocumentFilter(url_prefix=A, metadata={"p": "x"}, language="en"))
    sweep(sweeper, owner)
    assert status_of(owner, receipt)[2]["documents"] == 2
    assert owner.execute("SELECT url FROM cixml.documents ORDER BY url").fetchall() == [(A,), (B,)]
    assert stored(owner, corpus_id) == hashes(A, B)
    assert levels(owner, corpus_id) == (2, 2)


def test_a_deletion_waits_for_an_index_under_construction(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    index(pipeline, b"1", "one")
    owner.execute("UPDATE cixml.corpus_levels SET chunks = 1000000")
    with pipeline.transaction() as connection:
        assert promotions.ask(connection, corpus_id=job.corpus_id, promote_rows=1)
        build = promotions.open_build(connection, corpus_id=job.corpus_id, run_id="r", lease_seconds=15)
        assert build
    receipt = delete.documents("c_a", job.corpus_id, DocumentFilter(document_id=document_of(owner, A)))
    sweep(sweeper, owner)
    assert status_of(owner, receipt)[:2] == ("running", "index_build")
    with pipeline.transaction() as connection:
        batches.finish(connection, batch_id=build.batch_id, state=BatchState.DONE)
    wake(owner)
    sweep(sweeper, owner)
    assert status_of(owner, receipt)[0] == "done"


def test_a_deletion_queues_behind_a_flip_and_neither_waits_for_the_other_crosswise(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    """The run holds one document and wants another; a deletion that held the other would wait for the first."""
    job = make_job(owner, A, B)
    (claimed,) = claim_all(pipeline)
    batch = begin(pipeline, claimed.batch_id)
    with pipeline.transaction() as connection:
        first, second = pages.fetch_items(connection, batch_id=batch.batch_id)
    answers: list[Any] = []
    late = threading.Thread(
        target=lambda: answers.append(delete.documents("c_a", job.corpus_id, DocumentFilter(url_prefix="https://")))
    )
    with pipeline.transaction() as writing:
        batches.fence(writing, batch_id=batch.batch_id, run_id="run-1")
        corpus_lock.share(writing, corpus_id=job.corpus_id)
        pages.store_pages(writing, [(second, make_page(b"2", url=B))])
        late.start()
        wait_for_lock(owner)
        pages.store_pages(writing, [(first, make_page(b"1", url=A))])
    late.join()
    with pipeline.transaction() as connection:
        ended = items.end_cancelled(connection, batch_id=batch.batch_id)
    assert {item.status for item in ended} == {"skipped"}
    wake(owner)
    sweep(sweeper, owner)
    assert status_of(owner, answers[0])[2]["documents"] == 2


def test_a_sweep_waits_for_a_cancel_of_the_same_job_and_not_crosswise(
    database: Database, owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    """Both take the job first and its places in the queue after it."""
    job = make_job(owner, A, B)
    receipt = delete.corpus("c_a", job.corpus_id)
    parameters = {"job_id": job.job_id, "caller_id": "c_a"}
    with pipeline.transaction() as cancelling:
        cancelling.execute(query("lock_job"), parameters)
        late = threading.Thread(target=sweeper.step)
        late.start()
        wait_for_lock(owner)
        cancelling.execute(query("cancel_job"), parameters)
    late.join()
    wake(owner)
    sweep(sweeper, owner)
    assert status_of(owner, receipt)[0] == "done"
    assert owner.execute("SELECT status, items_open FROM cixml.jobs").fetchall() == [("cancelled", 0)]


def test_a_sweep_passes_by_what_a_claim_is_taking_and_closes_its_batch_afterwards(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    receipt = delete.corpus("c_a", job.corpus_id)
    with pipeline.transaction() as claiming:
        claiming.execute("SELECT FROM cixml.work_queue FOR UPDATE")
        sweep(sweeper, owner)
        assert status_of(owner, receipt)[:2] == ("running", "run")
    wake(owner)
    sweep(sweeper, owner)
    assert (status_of(owner, receipt)[0], left_of(owner, job.corpus_id)) == ("done", {})


def test_a_sweep_lets_retention_have_the_versions_that_it_holds(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    index(pipeline, b"1", "one")
    receipt = delete.corpus("c_a", job.corpus_id)
    with pipeline.transaction() as pruning:
        pruning.execute("SELECT FROM cixml.document_versions FOR UPDATE")
        sweep(sweeper, owner)
        assert status_of(owner, receipt)[:2] == ("running", "writer")
        pruning.execute("DELETE FROM cixml.chunks")
        pruning.execute("DELETE FROM cixml.chunk_sets")
        pruning.execute("DELETE FROM cixml.document_versions")
    owner.execute("DELETE FROM cixml.page_bodies")
    wake(owner)
    sweep(sweeper, owner)
    assert (status_of(owner, receipt)[0], left_of(owner, job.corpus_id)) == ("done", {})


def test_a_deletion_queues_behind_the_flip_of_an_index_and_takes_its_vectors_from_the_new_one(
    owner: Owner, pipeline: PipelineDatabase, delete: Deleting, sweeper: Sweeper
) -> None:
    job = make_job(owner, A)
    index(pipeline, b"1", "of a", "in both")
    make_job(owner, B)
    index(pipeline, b"2", "of b", "in both")
    own = own_relation(owner, job.corpus_id)
    where = DocumentFilter(document_id=document_of(owner, A))
    answers: list[Any] = []
    late = threading.Thread(target=lambda: answers.append(delete.documents("c_a", job.corpus_id, where)))
    with pipeline.transaction() as flipping:
        assert corpus_lock.take(flipping, corpus_id=job.corpus_id, wait_seconds=1.0)
        late.start()
        wait_for_lock(owner)
        source = one(owner, "SELECT relation FROM cixml.models")
        flipping.execute(f"INSERT INTO cixml.{own} SELECT * FROM cixml.{source} ON CONFLICT DO NOTHING".encode())
        flipping.execute("UPDATE cixml.index_versions SET state = 'retired' WHERE state = 'serving'")
        flipping.execute("UPDATE cixml.index_versions SET state = 'serving' WHERE kind = 'hnsw'")
    late.join()
    sweep(sweeper, owner)
    assert status_of(owner, answers[0])[0] == "done"
    rows = owner.execute(f"SELECT chunk_hash FROM cixml.{own}".encode()).fetchall()
    assert {row[0] for row in rows} == hashes("of b", "in both")


def test_a_deletion_whose_slice_fails_is_tried_again_and_blocks_no_other(
    owner: Owner, delete: Deleting, sweeper: Sweeper
) -> None:
    first, second = make_corpus(owner), make_corpus(owner, name="other")
    receipts = [delete.corpus("c_a", corpus_id) for corpus_id in (first, second)]
    owner.execute(
        "CREATE FUNCTION cixml.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF OLD.corpus_id = '{first}' THEN RAISE 'no'; END IF; RETURN OLD; END $$".encode()
    )
    owner.execute(
        "CREATE TRIGGER refuse BEFORE DELETE ON cixml.index_versions FOR EACH ROW EXECUTE FUNCTION cixml.refuse()"
    )
    while sweeper.step():
        pass
    assert status_of(owner, receipts[0])[:2] == ("running", "failure")
    assert status_of(owner, receipts[1])[0] == "done"
    owner.execute("DROP FUNCTION cixml.refuse CASCADE")
    wake(owner)
    while sweeper.step():
        pass
    assert status_of(owner, receipts[0])[0] == "done"
