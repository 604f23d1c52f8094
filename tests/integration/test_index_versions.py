"""Another index of a corpus: filled from what is stored, flipped in one step, taken back, given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import pytest
from psycopg import sql

from resources.errors import EmbeddingRejectedError, LeaseLostError
from resources.orchestration import tags
from resources.orchestration.build_errors import errors_noted
from resources.orchestration.fitting import check_fit
from resources.orchestration.promotion import promote
from resources.orchestration.runtime import Runtime
from resources.orchestration.streams import ChunksToEmbed
from resources.orchestration.vector_plan import VectorPlan
from resources.orchestration.work import RunWork
from resources.postgres import batches, deletions, index_builds
from resources.postgres.chunks import chunk_hash
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import PipelineSettings
from resources.types import BatchState, ExtractedDocument
from sensors.submitted_jobs import claim
from tests.builders import make_job
from tests.database import Database
from tests.models import SECOND, migrate_models, write_models_file
from tests.reindexing import (
    Filled,
    Owner,
    Runs,
    activate,
    ask,
    assert_sound,
    chunk_ids,
    due,
    hashes,
    relation_of,
    run_of,
    same_cut,
    serving,
    state,
    texts_of,
    write,
)
from tests.rows import MODEL, begin, claim_all, embed_and_flip, extracted, store_document


def test_a_version_of_another_model_is_filled_and_serves_when_it_is_asked_to(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    before = chunk_ids(owner, corpus)
    version = ask(owner, corpus)
    assert due(pipeline) == [version]
    filled = runs.fill(owner, version)
    assert (filled.is_serving, state(owner, version), serving(owner, corpus)[1]) == (False, "ready", MODEL)
    progress = owner.execute(
        "SELECT documents_cut, documents_done, documents_total, chunks_done, chunks_total FROM cixml.index_versions "
        "WHERE id = %s",
        [version],
    ).fetchone()
    assert progress == (3, 3, 3, 9, 9)
    assert due(pipeline) == [], "it waits for its activation"
    write(owner, pipeline, "d")
    activate(owner, version)
    assert due(pipeline) == [version]
    flipped = runs.fill(owner, version)
    assert flipped.is_serving
    assert serving(owner, corpus) == (version, SECOND)
    assert chunk_ids(owner, corpus)[: len(before)] == before
    assert_sound(pipeline, corpus)
    write_second(owner, pipeline, runs, "e")
    assert_sound(pipeline, corpus)


def write_second(owner: Owner, pipeline: PipelineDatabase, runs: Runs, name: str) -> None:
    """Index a page by what serves after a flip."""
    make_job(owner, f"https://example.com/{name}")
    [claimed] = claim_models(pipeline)
    assert claimed.model == SECOND
    run = dg.DagsterRun(job_name="x", run_id=str(uuid4()), tags={tags.BATCH: str(claimed.batch_id)})
    work = RunWork(run, runs.parts)
    lease, _ = work.of_model(None)
    with pipeline.transaction() as connection:
        items = [item.item_id for item in batches.open_items(connection, batch_id=claimed.batch_id)]
    owed = store_document(pipeline, lease.batch, name.encode(), "shared by all. ", f"{name} one. ")
    assert len(owed) == 1, "the shared one is there"
    runs.embed(work)
    work.close()
    done = owner.execute("SELECT status FROM cixml.job_items WHERE id = %s", [items[0]]).fetchone()
    assert done == ("indexed",)


def claim_models(pipeline: PipelineDatabase) -> list[Any]:
    with pipeline.transaction() as connection:
        return claim(connection, PipelineSettings(), models=[MODEL, SECOND])[0]


@pytest.mark.parametrize("source", ["chunks", "text", "raw"])
def test_a_rebuild_with_the_same_settings_gives_equal_chunk_ids(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, source: str
) -> None:
    before, paid = chunk_ids(owner, corpus), ledger(owner)
    version = ask(owner, corpus, model=MODEL, source=source, activate="auto")

    def cut(text: str) -> ExtractedDocument:
        if source == "text":
            return same_cut(text)
        name = text.split()[1]
        return extracted("shared by all. ", f"{name} one. ", f"{name} two. ")

    filled = runs.fill(owner, version, cut if source != "chunks" else None)
    assert filled.is_serving
    assert chunk_ids(owner, corpus) == before
    assert ledger(owner) == paid, "no text was embedded again"
    assert_sound(pipeline, corpus)


def ledger(owner: Owner) -> int:
    row = owner.execute("SELECT count(*) FROM cixml.usage_ledger").fetchone()
    assert row
    return int(row[0])


def test_pages_read_anew_change_texts_with_the_flip_and_back(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    """Chunks are offsets into the text of their version, before and after."""

    def text_holds() -> bool:
        rows = owner.execute(
            "SELECT substr(v.text, k.start_offset + 1, k.end_offset - k.start_offset) = k.text FROM cixml.documents d "
            "JOIN cixml.index_versions x ON x.corpus_id = d.corpus_id AND x.state = 'serving' "
            "JOIN cixml.document_versions v ON v.id = d.live_version_id "
            "JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = x.chunking_fp "
            "JOIN cixml.chunks k ON k.chunk_set_id = s.id"
        ).fetchall()
        return bool(rows) and all(row[0] for row in rows)

    old, before = serving(owner, corpus)[0], chunk_ids(owner, corpus)
    other = ask(owner, corpus, source="chunks")
    version = ask(owner, corpus, model=MODEL, source="raw", activate="auto")
    filled = runs.fill(owner, version, lambda text: extracted("Read better. ", *texts_of(text)))
    assert filled.is_serving
    after = chunk_ids(owner, corpus)
    assert {text for _, _, text in after} >= {"Read better. "}
    assert text_holds()
    assert state(owner, other) == "retired", "its chunks would be of texts that are gone"
    assert_sound(pipeline, corpus)
    activate(owner, old)
    back = runs.fill(owner, old)
    assert back.is_serving
    assert chunk_ids(owner, corpus) == before
    assert text_holds()
    assert_sound(pipeline, corpus)


def test_what_comes_in_while_a_version_takes_over_is_in_it(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    version = ask(owner, corpus, activate="auto")
    first = runs.fill(owner, version, meanwhile=lambda: write(owner, pipeline, "late"))
    assert (first.documents_missing, first.is_serving) == (1, False)
    assert serving(owner, corpus)[1] == MODEL
    make_job(owner, "https://example.com/held")
    assert claim_models(pipeline) == [], "nothing new is begun"
    assert due(pipeline) == [version], "another pass"
    second = runs.fill(owner, version)
    assert second.is_serving
    assert_sound(pipeline, corpus)
    assert [claimed.model for claimed in claim_models(pipeline)] == [SECOND], "the hold is over with the flip"


def test_a_pass_waits_for_pages_that_were_begun_before_the_hold(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    job = make_job(owner, "https://example.com/slow")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    owed = store_document(pipeline, batch, b"slow", "slow one. ")
    version = ask(owner, corpus, activate="auto")
    with pipeline.transaction() as connection:
        index_builds.hold_claims(connection, corpus_id=corpus, seconds=60)
    results: list[Filled] = []
    thread = threading.Thread(target=lambda: results.append(runs.fill(owner, version)))
    thread.start()
    thread.join(timeout=0.7)
    assert thread.is_alive(), "the page is still under work"
    assert len(embed_and_flip(pipeline, batch, owed, job.item_ids)) == 1
    with pipeline.transaction() as connection:
        batches.finish(connection, batch_id=batch.batch_id, state=BatchState.DONE)
    thread.join(timeout=30)
    assert results[0].is_serving
    assert_sound(pipeline, corpus)


def test_a_run_that_was_begun_for_the_old_model_writes_nothing_after_the_flip(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    job = make_job(owner, "https://example.com/late")
    [claimed] = claim_all(pipeline)
    run = dg.DagsterRun(job_name="x", run_id=str(uuid4()), tags={tags.BATCH: str(claimed.batch_id)})
    work = RunWork(run, runs.parts)
    lease, _ = work.of_model(None)
    owed = store_document(pipeline, lease.batch, b"late", "late one. ")
    assert owed
    other = Runs.__new__(Runs)
    other.parts = Runtime(runs.parts.settings)
    version = ask(owner, corpus, activate="auto")
    flipped = other.fill(owner, version)
    other.parts.database.close()
    assert flipped.is_serving
    with pytest.raises(LeaseLostError):
        runs.embed(work)
    work.close()
    queued = owner.execute("SELECT status FROM cixml.job_items WHERE id = %s", [job.item_ids[0]]).fetchone()
    assert queued == ("queued",)
    [again] = claim_models(pipeline)
    of_batch = {tags.BATCH: str(again.batch_id), tags.PARTITION: again.partition_key}
    work = RunWork(dg.DagsterRun(job_name="x", run_id=str(uuid4()), tags=of_batch), runs.parts)
    with pytest.raises(LeaseLostError, match="started for"):
        work.of_model(MODEL)  # as a run does that was asked for before the flip and began after it
    work.close()
    assert_sound(pipeline, corpus)


def test_a_killed_fill_goes_on_where_it_was(owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs) -> None:
    version = ask(owner, corpus)
    row = owner.execute("SELECT partition_key FROM cixml.corpora").fetchone()
    assert row
    run = dg.DagsterRun(job_name="x", run_id="killed", tags={tags.PARTITION: row[0], tags.INDEX_VERSION: str(version)})
    work = RunWork(run, runs.parts)
    assert runs.embed(work, most=4) == 4
    assert due(pipeline) == [], "it is under work"
    work.close()
    assert due(pipeline) == [version]
    before = ledger(owner)
    runs.fill(owner, version)
    assert ledger(owner) - before == 3, "of seven texts four were there"
    assert state(owner, version) == "ready"


def test_a_large_version_gets_its_own_relation_and_graph(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    version = ask(owner, corpus, kind="hnsw", activate="auto")
    filled = runs.fill(owner, version)
    assert filled.is_serving
    own = relation_of(owner, version)
    assert len(hashes(owner, own, corpus)) == 7
    definition = owner.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexdef ~ 'hnsw'", [f"{own}_graph"]
    )
    assert definition.fetchone() is not None
    assert_sound(pipeline, corpus)
    rebuilt = ask(owner, corpus, kind="hnsw", activate="auto")
    paid = ledger(owner)
    again = runs.fill(owner, rebuilt)
    assert again.is_serving
    assert ledger(owner) == paid, "vectors of the same model are copied"


def test_a_graph_that_finds_too_little_is_asked_again_by_the_next_run(
    owner: Owner, corpus: UUID, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = ask(owner, corpus, kind="hnsw", activate="auto")
    with monkeypatch.context() as poor:
        poor.setattr("resources.postgres.recall._recall", lambda *_: 0.9)
        for _ in range(2):
            with pytest.raises(dg.Failure, match=r"0\.900 of the ten nearest"):
                runs.fill(owner, version)
    assert runs.fill(owner, version).is_serving
    graphs = "SELECT count(*) FROM pg_indexes WHERE tablename = %s AND indexdef ~ 'hnsw'"
    assert owner.execute(graphs, [f"{relation_of(owner, version)}_graph"]).fetchone() == (1,), "it is not built twice"


def test_a_graph_is_built_while_the_last_texts_are_embedded(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    write(owner, pipeline, "large", *(f"sentence {number}. " for number in range(20)))
    version = ask(owner, corpus, kind="hnsw", activate="auto")
    own = relation_of(owner, version)

    def wait_for_graph() -> None:
        deadline = time.monotonic() + 20
        while not owner.execute(
            "SELECT FROM pg_indexes WHERE tablename = %s AND indexdef ~ 'hnsw'", [f"{own}_graph"]
        ).rowcount:
            assert time.monotonic() < deadline, "no graph before the last text"
            time.sleep(0.01)

    assert runs.fill(owner, version, before_last=wait_for_graph).is_serving
    beside = owner.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier("cixml", own))).fetchone()
    assert beside
    assert 1 <= beside[0] <= 2
    assert_sound(pipeline, corpus)


def test_what_was_replaced_serves_again_within_its_grace_and_goes_after_it(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    old = serving(owner, corpus)[0]
    old_relation = relation_of(owner, old)
    version = ask(owner, corpus, source="text", activate="auto")
    runs.fill(owner, version, same_cut)
    clear(owner, runs)
    assert len(hashes(owner, old_relation, corpus)) == 7, "its grace is not over"
    write_second(owner, pipeline, runs, "d")
    activate(owner, old)
    back = runs.fill(owner, old, same_cut)
    assert back.is_serving
    assert serving(owner, corpus) == (old, MODEL)
    assert_sound(pipeline, corpus)
    fp = owner.execute("SELECT chunking_fp FROM cixml.index_versions WHERE id = %s", [version]).fetchone()
    assert fp
    owner.execute("UPDATE cixml.index_versions SET drop_after = now() WHERE id = %s", [version])
    clear(owner, runs)
    assert hashes(owner, relation_of(owner, version), corpus) == set()
    left = owner.execute("SELECT count(*) FROM cixml.chunk_sets WHERE chunking_fp = %s", [fp[0]]).fetchone()
    assert left == (0,), "chunk sets that were its alone go with it"
    assert len(hashes(owner, old_relation, corpus)) == 8
    assert_sound(pipeline, corpus)


def clear(owner: Owner, runs: Runs) -> None:
    """Do what the run of search_index does that the sensor starts for what may not serve again."""
    row = owner.execute("SELECT partition_key FROM cixml.corpora").fetchone()
    assert row
    work = RunWork(dg.DagsterRun(job_name="promotion", run_id=str(uuid4()), tags={tags.PARTITION: row[0]}), runs.parts)
    promote(work)
    work.close()


def test_a_version_that_is_given_up_stops_its_run_and_leaves_nothing(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    version = ask(owner, corpus, source="text")
    give_up = "UPDATE cixml.index_versions SET state = 'retired', drop_after = now() WHERE id = %s"
    with pytest.raises(LeaseLostError):
        runs.fill(owner, version, same_cut, meanwhile=lambda: owner.execute(give_up, [version]))
    clear(owner, runs)
    assert hashes(owner, relation_of(owner, version), corpus) == set()
    assert owner.execute("SELECT count(*) FROM cixml.chunk_sets").fetchone() == (3,)
    assert_sound(pipeline, corpus)


def test_a_model_that_can_not_take_the_chunks_is_refused_with_the_count_and_the_remedy(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, database: Database, tmp_path: Path
) -> None:
    write(owner, pipeline, "long", "word " * 40)
    folder = tmp_path / "narrow"
    folder.mkdir()
    path = write_models_file(folder, max_tokens=20)
    migrate_models(database, path)
    narrow = Runs(database, path)
    version = ask(owner, corpus)
    row = owner.execute("SELECT partition_key FROM cixml.corpora").fetchone()
    assert row
    run = dg.DagsterRun(job_name="x", run_id="r", tags={tags.PARTITION: row[0], tags.INDEX_VERSION: str(version)})
    work = RunWork(run, narrow.parts)
    lease, found = work.of_model(None)
    owed = ChunksToEmbed(lease, found)
    texts: Sequence[UUID] = list(VectorPlan.of(owed.rows()).owed)
    with pytest.raises(EmbeddingRejectedError), errors_noted(lease, found):
        check_fit(owed, narrow.parts.registry.get(SECOND), texts)
    work.close()
    narrow.parts.database.close()
    error = owner.execute("SELECT state, error FROM cixml.index_versions WHERE id = %s", [version]).fetchone()
    assert error
    assert (error[0], error[1]["code"]) == ("retired", "chunks_too_long")
    assert "1 of 8 chunks" in error[1]["detail"]
    assert "from 'text'" in error[1]["detail"]
    assert due(pipeline) == []


def test_missing_partitions_that_the_ui_materialises_become_a_version_that_can_serve(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    row = owner.execute("SELECT partition_key FROM cixml.corpora").fetchone()
    assert row
    work = RunWork(dg.DagsterRun(job_name="__ASSET_JOB", run_id="ui", tags={tags.PARTITION: row[0]}), runs.parts)
    _, version = work.of_model(SECOND)
    assert version.state == "building"
    assert due(pipeline) == [], "the run of the UI is at it"
    work.close()
    [made] = due(pipeline)
    assert made == version.index_version_id
    runs.fill(owner, made)
    activate(owner, made)
    flipped = runs.fill(owner, made)
    assert flipped.is_serving
    assert_sound(pipeline, corpus)


def test_what_is_deleted_meanwhile_leaves_every_version(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    version = ask(owner, corpus, kind="hnsw")
    runs.fill(owner, version)
    building = ask(owner, corpus, source="text")
    work = RunWork(run_of(owner, building), runs.parts)
    runs.cut(work, same_cut)
    told = "SELECT documents_cut, documents_total, documents_done FROM cixml.index_versions WHERE id = %s"
    assert owner.execute(told, [building]).fetchone() == (3, 3, 0), "how far the cut is shows before a text is embedded"
    runs.embed(work)
    work.close()
    only_its = {chunk_hash(f"a {number}. ") for number in ("one", "two")}
    for each in (version, building, serving(owner, corpus)[0]):
        assert only_its <= hashes(owner, relation_of(owner, each), corpus)
    delete_page(owner, "https://example.com/a")
    for _ in range(20):
        with pipeline.transaction() as connection:
            receipt = deletions.take(connection)
            if receipt is not None:
                deletions.keep(connection, receipt, deletions.remove_slice(connection, receipt))
    assert owner.execute("SELECT status FROM cixml.receipts").fetchone() == ("done",)
    for each in (version, building, serving(owner, corpus)[0]):
        assert not only_its & hashes(owner, relation_of(owner, each), corpus)
    activate(owner, version)
    runs.fill(owner, version)
    assert serving(owner, corpus) == (version, SECOND)
    assert_sound(pipeline, corpus)


def delete_page(owner: Owner, url: str) -> None:
    """Bury a document with a receipt, as the API does."""
    owner.execute(
        "WITH receipt AS (INSERT INTO cixml.receipts (caller_id, corpus_id, corpus, kind) "
        "SELECT 'c_a', corpus_id, 'docs', 'document' FROM cixml.documents WHERE url = %(url)s RETURNING id), "
        "levels AS (UPDATE cixml.corpus_levels l SET documents = documents - 1, chunks = l.chunks - s.chunk_count, "
        "tokens = l.tokens - s.token_count, digest = l.digest - cixml.content_digest(d.url_key, v.text_sha256) "
        "FROM cixml.documents d JOIN cixml.document_versions v ON v.id = d.live_version_id "
        "JOIN cixml.chunk_sets s ON s.document_version_id = v.id "
        "WHERE d.url = %(url)s AND s.chunking_fp = l.chunking_fp) "
        "UPDATE cixml.documents d SET deleted_at = clock_timestamp(), receipt_id = r.id, live_version_id = NULL, "
        "deleted_url_key = d.url_key, url_key = 'deleted:' || d.id FROM receipt r WHERE d.url = %(url)s",
        {"url": url},
    )
