"""What has aged goes, what is young or needed stays: the product's rows and Dagster's, on real databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.data_version import extract_data_provenance_from_entry
from dagster._core.test_utils import create_run_for_test

from cixml_assets.checks import check_specs
from resources.orchestration.lifeline import Lifeline
from resources.orchestration.migrate import create_dagster_tables
from resources.orchestration.retention import Retention
from resources.orchestration.runtime import Runtime
from resources.postgres import dagster_retention, retention
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import Settings
from tests.builders import make_corpus, make_job, make_worker
from tests.database import Database, PostgresServer
from tests.rows import begin, claim_all, embed_and_flip, store_document

DAGSTER_YAML = """
storage:
  custom:
    module: resources.orchestration.storage
    class: PooledPostgresStorage
    config: {postgres_url: "%s"}
telemetry: {enabled: false}
"""
LOOK_SECONDS = 30.0
corpora = dg.DynamicPartitionsDefinition(name="corpora")
specs = check_specs("lower", corpora)


@dg.asset(partitions_def=corpora)
def upper() -> None: ...


@dg.asset(partitions_def=corpora, deps=[upper], check_specs=specs)
def lower(context) -> dg.MaterializeResult:
    if context.run.tags.get("fails"):
        raise ValueError("as asked")
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(check_name=spec.name, passed=True) for spec in specs]
    )


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def pipeline(database: Database) -> Iterator[PipelineDatabase]:
    found = PipelineDatabase(database.pipeline_url)
    yield found
    found.close()


@pytest.fixture(scope="module")
def dagster_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with Dagster's tables: they take seconds to make."""
    name = "dagster_retention"
    with psycopg.connect(postgres_server.superuser_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER cixml_owner")
        url = postgres_server.database(name).owner_url.replace("postgresql://", "postgresql+psycopg2://", 1)
        create_dagster_tables(url)
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def dagster(dagster_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Dagster's tables, empty."""
    with psycopg.connect(dagster_url.replace("+psycopg2", ""), autocommit=True) as connection:
        connection.execute(
            "TRUNCATE event_logs, runs, run_tags, asset_keys, asset_event_tags, asset_check_executions, job_ticks, "
            "bulk_actions, dynamic_partitions"
        )
        yield connection


@pytest.fixture
def instance(dagster: psycopg.Connection[Any], dagster_url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML % dagster_url)
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        found.add_dynamic_partitions("corpora", ["a", "b", "c"])
        yield found


def settings_of(database: Database, dagster_url: str, **days: int) -> Settings:
    nobody = {"redis_url": "redis://127.0.0.1:1/0", "embedding_api_base_url": "http://127.0.0.1:1/v1"}
    return database.settings(
        dagster={"database_url": dagster_url}, retention={"interval_seconds": 0.0} | days, **nobody
    )


def materialize(instance: dg.DagsterInstance, partition: str, *, only: str | None = None, fails: bool = False) -> str:
    result = dg.materialize(
        [upper, lower],
        instance=instance,
        partition_key=partition,
        selection=only,
        raise_on_error=False,
        tags={"fails": "yes"} if fails else None,
    )
    assert result.success is not fails
    return result.run_id


def age(dagster: psycopg.Connection[Any], run_id: str, days: int) -> None:
    """Move a run and its events into the past."""
    past = "- make_interval(days => %s) WHERE run_id = %s"
    dagster.execute(f'UPDATE event_logs SET "timestamp" = "timestamp" {past}', [days, run_id])
    dagster.execute(f"UPDATE runs SET update_timestamp = update_timestamp {past}", [days, run_id])


def count(owner: psycopg.Connection[Any], relation: str, where: str = "true", *values: object) -> int:
    row = owner.execute(f"SELECT count(*) FROM {relation} WHERE {where}", values).fetchone()
    assert row is not None
    return int(row[0])


def make_version(
    owner: psycopg.Connection[Any],
    *,
    url: str,
    over_days: int | None = None,
    was_live: bool = True,
    chunks: int = 2,
    counted_chunks: int | None = None,
) -> UUID:
    """Make a version of the document of `url`, with a body of its own and a chunk set. `over_days` None: it is live."""
    corpus_id = make_corpus(owner)
    body = uuid4().bytes * 2
    owner.execute("INSERT INTO cixml.page_bodies VALUES (%s, 'body')", [body])
    document_id = owner.execute(
        "INSERT INTO cixml.documents (corpus_id, url_key, url, host) VALUES (%s, %s, %s, 'example.com') "
        "ON CONFLICT (corpus_id, url_key) DO UPDATE SET url = excluded.url RETURNING id",
        [corpus_id, url, url],
    ).fetchone()[0]
    version_id: UUID = owner.execute(
        "INSERT INTO cixml.document_versions (document_id, corpus_id, fetch_seq, body_sha256, body_bytes, final_url, "
        "http_status, content_type, fetched_at, live_from, live_to) VALUES (%(document)s, %(corpus)s, 1, %(body)s, 4, "
        "%(url)s, 200, 'text/html', now() - make_interval(days => %(days)s), CASE WHEN %(was_live)s THEN now() END, "
        "CASE WHEN %(was_live)s AND %(is_over)s THEN now() - make_interval(days => %(days)s) END) RETURNING id",
        {
            "document": document_id,
            "corpus": corpus_id,
            "body": body,
            "url": url,
            "days": over_days or 90,
            "was_live": was_live,
            "is_over": over_days is not None,
        },
    ).fetchone()[0]
    if over_days is None:
        owner.execute("UPDATE cixml.documents SET live_version_id = %s WHERE id = %s", [version_id, document_id])
    chunk_set_id = owner.execute(
        "INSERT INTO cixml.chunk_sets (document_version_id, corpus_id, chunking_fp, chunk_count, token_count) "
        "VALUES (%s, %s, 'fp', %s, 1) RETURNING id",
        [version_id, corpus_id, counted_chunks or chunks],
    ).fetchone()[0]
    owner.execute(
        "INSERT INTO cixml.chunks SELECT %s, n, %s, uuidv7(), uuidv7(), 0, 1, 1, NULL, 't' "
        "FROM generate_series(1, %s) n",
        [chunk_set_id, corpus_id, chunks],
    )
    return version_id


def prune_versions(pipeline: PipelineDatabase) -> int:
    with pipeline.transaction() as connection:
        return retention.prune_document_versions(connection, days=30).removed


def prune_bodies(pipeline: PipelineDatabase) -> int:
    with pipeline.transaction() as connection:
        return retention.prune_page_bodies(connection, after=None).removed


def versions_left(owner: psycopg.Connection[Any]) -> set[UUID]:
    return {row[0] for row in owner.execute("SELECT id FROM cixml.document_versions")}


def test_old_versions_go_with_their_chunks_and_bodies_and_live_and_young_ones_stay(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_version(owner, url="https://example.com/a", over_days=40)
    make_version(owner, url="https://example.com/a", over_days=40, was_live=False)
    kept = {
        make_version(owner, url="https://example.com/a", over_days=20),
        make_version(owner, url="https://example.com/a", over_days=20, was_live=False),
        make_version(owner, url="https://example.com/a"),
    }
    assert prune_versions(pipeline) == 2
    assert versions_left(owner) == kept
    assert count(owner, "cixml.chunk_sets") == 3
    assert count(owner, "cixml.chunks") == 6
    assert prune_bodies(pipeline) == 2
    assert count(owner, "cixml.page_bodies") == 3
    assert prune_versions(pipeline) == 0


def test_a_page_that_waits_or_is_under_work_keeps_its_versions(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    job = make_job(owner, "https://example.com/queued", "https://example.com/leased")
    batch_id = owner.execute(
        "INSERT INTO cixml.batches (kind, corpus_id, items, lease_until) VALUES ('ingest', %s, 1, now()) RETURNING id",
        [job.corpus_id],
    ).fetchone()[0]
    owner.execute("DELETE FROM cixml.work_queue WHERE item_id = %s", [job.item_ids[1]])
    owner.execute(
        "INSERT INTO cixml.leases (corpus_id, url_key, work, batch_id, caller_id) VALUES (%s, %s, 'ingest', %s, 'c_a')",
        [job.corpus_id, "https://example.com/leased", batch_id],
    )
    kept = {
        make_version(owner, url="https://example.com/queued", over_days=40, was_live=False),
        make_version(owner, url="https://example.com/leased", over_days=40),
    }
    make_version(owner, url="https://example.com/other", over_days=40)
    assert prune_versions(pipeline) == 1
    assert versions_left(owner) == kept


def test_a_version_that_a_run_is_making_live_stays(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, database: Database
) -> None:
    """The run took the page up after the look for old versions, and has not committed yet."""
    version_id = make_version(owner, url="https://example.com/a", over_days=40, was_live=False)
    with psycopg.connect(database.owner_url) as run:
        run.execute("UPDATE cixml.documents SET live_version_id = %s", [version_id])
        run.execute("UPDATE cixml.document_versions SET live_from = now()")
        with pipeline.transaction() as connection:
            connection.execute("SET LOCAL lock_timeout = '2s'")
            assert retention.prune_document_versions(connection, days=30).removed == 0
    assert versions_left(owner) == {version_id}
    assert prune_versions(pipeline) == 0


def test_a_run_that_comes_while_its_version_is_removed_makes_nothing_live(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, database: Database
) -> None:
    make_worker(owner)
    job = make_job(owner, "https://example.com/a")
    batch = begin(pipeline, claim_all(pipeline)[0].batch_id)
    owed = store_document(pipeline, batch, b"body", "one")
    owner.execute("UPDATE cixml.document_versions SET fetched_at = now() - interval '40 days'")
    owner.execute("CREATE TABLE cixml.aside AS SELECT * FROM cixml.leases")
    owner.execute("DELETE FROM cixml.leases")
    flipped: list[object] = []
    other = PipelineDatabase(database.pipeline_url)
    run = threading.Thread(target=lambda: flipped.append(embed_and_flip(other, batch, owed, job.item_ids)))
    with pipeline.transaction() as connection:
        assert retention.prune_document_versions(connection, days=30).removed == 1
        owner.execute("INSERT INTO cixml.leases SELECT * FROM cixml.aside")
        run.start()
        deadline = time.monotonic() + LOOK_SECONDS
        while not count(owner, "pg_locks", "NOT granted"):
            assert time.monotonic() < deadline, "the run does not wait"
            time.sleep(0.01)
    run.join()
    other.close()
    assert flipped == [[]]
    assert owner.execute("SELECT live_version_id FROM cixml.documents").fetchone() == (None,)


def test_a_slice_of_versions_is_bounded_by_chunks_but_takes_one_at_least(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    make_version(owner, url="https://example.com/a", over_days=50, counted_chunks=4096)
    for _ in range(3):
        make_version(owner, url="https://example.com/a", over_days=40, counted_chunks=1500)
    assert [prune_versions(pipeline) for _ in range(4)] == [1, 2, 1, 0]


def test_a_body_that_comes_back_while_it_is_pruned_stays(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase, database: Database
) -> None:
    make_version(owner, url="https://example.com/a")
    owner.execute("INSERT INTO cixml.page_bodies VALUES ('orphan', 'body'), ('other', 'body')")
    removed: list[int] = []
    pruner = threading.Thread(target=lambda: removed.append(prune_bodies(pipeline)))
    with psycopg.connect(database.owner_url) as storing:
        storing.execute("INSERT INTO cixml.page_bodies VALUES ('orphan', 'body') ON CONFLICT DO NOTHING")
        pruner.start()
        deadline = time.monotonic() + LOOK_SECONDS
        while not count(owner, "pg_locks", "NOT granted AND mode = 'ShareRowExclusiveLock'"):
            assert time.monotonic() < deadline, "the pruner does not wait"
            time.sleep(0.01)
        storing.execute("UPDATE cixml.document_versions SET body_sha256 = 'orphan'")
    pruner.join()
    assert count(owner, "cixml.page_bodies", "sha256 = 'orphan'") == 1
    assert count(owner, "cixml.page_bodies", "sha256 = 'other'") == 0
    assert removed == [1]


def test_ended_batches_idle_hosts_and_lost_workers_go(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    corpus_id = make_corpus(owner)
    for made, finished in ((40, 40), (40, None), (40, 20), (1, 1)):
        owner.execute(
            "INSERT INTO cixml.batches (id, kind, corpus_id, state, items, lease_until, finished_at) VALUES "
            "(uuidv7(make_interval(days => -%s)), 'ingest', %s, 'done', 1, now(), now() - make_interval(days => %s))",
            [made, corpus_id, finished],
        )
    owner.execute("INSERT INTO cixml.hosts VALUES ('old', now() - interval '2 days', ''), ('new', now(), '')")
    owner.execute(
        "INSERT INTO cixml.workers VALUES ('old', '{}', 1, now() - interval '2 days'), ('new', '{}', 1, now())"
    )
    with pipeline.transaction() as connection:
        assert retention.prune_batches(connection, days=30).removed == 1
        assert retention.prune_hosts(connection, days=1).removed == 1
        assert retention.prune_workers(connection, days=1).removed == 1
    assert count(owner, "cixml.batches") == 3
    assert owner.execute("SELECT host FROM cixml.hosts").fetchall() == [("new",)]
    assert owner.execute("SELECT id FROM cixml.workers").fetchall() == [("new",)]


def test_old_audit_records_go(owner: psycopg.Connection[Any], pipeline: PipelineDatabase) -> None:
    for days in (91, 89, 0):
        owner.execute(
            "INSERT INTO cixml.audit VALUES "
            "(uuidv7(make_interval(days => -%s)), now(), NULL, '::1', 'GET', '/v1/jobs', '{}', 200, %s, 't')",
            [days, str(days)],
        )
    with pipeline.transaction() as connection:
        assert retention.prune_audit(connection, days=90).removed == 1
    assert owner.execute("SELECT request_id FROM cixml.audit ORDER BY id").fetchall() == [("89",), ("0",)]


def test_old_events_of_ended_runs_go_but_for_those_of_assets(
    dagster: psycopg.Connection[Any], instance: dg.DagsterInstance
) -> None:
    old, young = materialize(instance, "a"), materialize(instance, "b")
    open_run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED).run_id
    dagster.execute("INSERT INTO event_logs (run_id, event, timestamp) VALUES (%s, '{}', now())", [open_run])
    age(dagster, old, 8)
    age(dagster, open_run, 8)
    before = count(dagster, "event_logs", "run_id = %s", young)
    found = dagster_retention.prune_events(dagster, days=7, after=None)
    left = dagster.execute("SELECT dagster_event_type FROM event_logs WHERE run_id = %s ORDER BY id", [old]).fetchall()
    assert sorted(row[0] for row in left) == [
        *["ASSET_CHECK_EVALUATION"] * 2,
        *["ASSET_MATERIALIZATION"] * 2,
        *["ASSET_MATERIALIZATION_PLANNED"] * 2,
    ]
    assert found.removed == before - 6
    assert count(dagster, "event_logs", "run_id = %s", young) == before
    assert count(dagster, "event_logs", "run_id = %s", open_run) == 1
    assert instance.get_materialized_partitions(dg.AssetKey("lower")) == {"a", "b"}
    assert dagster_retention.prune_events(dagster, days=7, after=found.after).is_last


def test_old_runs_go_with_all_their_rows_and_the_state_of_partitions_stays(
    dagster: psycopg.Connection[Any], instance: dg.DagsterInstance
) -> None:
    replaced, latest, only = (materialize(instance, partition) for partition in "aab")
    early_failure, failure = materialize(instance, "a", fails=True), materialize(instance, "c", fails=True)
    last = materialize(instance, "a")
    open_run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED).run_id
    for run_id in (replaced, latest, only, early_failure, failure, last, open_run):
        age(dagster, run_id, 40)
    attempts = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations
    checks = instance.event_log_storage.get_asset_check_execution_history(specs[0].key, limit=1)
    failed = attempts(dg.AssetKey("lower"))
    found = dagster_retention.prune_runs(dagster, days=30, after=None)
    assert found.removed == 3
    left = {run.run_id for run in instance.get_runs()}
    assert left == {only, failure, last, open_run}
    assert instance.get_materialized_partitions(dg.AssetKey("upper")) == {"a", "b", "c"}
    assert instance.get_materialized_partitions(dg.AssetKey("lower")) == {"a", "b"}
    assert attempts(dg.AssetKey("lower")) == failed
    assert set(failed) == {"c"}
    for table in ("event_logs", "asset_check_executions", "run_tags"):
        assert count(dagster, table, "run_id <> ALL (%s)", list(left)) == 0
    orphans = count(dagster, "asset_event_tags t", "NOT EXISTS (SELECT FROM event_logs e WHERE e.id = t.event_id)")
    assert orphans == 0
    event = instance.get_latest_materialization_event(dg.AssetKey("lower"))
    assert event is not None
    provenance = extract_data_provenance_from_entry(event)
    assert provenance is not None
    upstream = provenance.input_storage_ids[dg.AssetKey("upper")]
    assert count(dagster, "event_logs", "id = %s AND asset_key = '[\"upper\"]'", upstream) == 1
    assert instance.event_log_storage.get_asset_check_execution_history(checks[0].key, limit=1) == checks
    assert dagster_retention.prune_runs(dagster, days=30, after=found.after).is_last


def test_a_run_stays_that_made_the_input_of_a_latest_materialisation(
    dagster: psycopg.Connection[Any], instance: dg.DagsterInstance
) -> None:
    made_input = materialize(instance, "a", only="upper")
    made_output = materialize(instance, "a", only="lower")
    newer_input = materialize(instance, "a", only="upper")
    for run_id in (made_input, made_output, newer_input):
        age(dagster, run_id, 40)
    assert dagster_retention.prune_runs(dagster, days=30, after=None).removed == 0
    age(dagster, newer_output := materialize(instance, "a", only="lower"), 40)
    assert dagster_retention.prune_runs(dagster, days=30, after=None).removed == 2
    assert {run.run_id for run in instance.get_runs()} == {newer_input, newer_output}


def test_a_run_of_an_open_backfill_stays(dagster: psycopg.Connection[Any], instance: dg.DagsterInstance) -> None:
    replaced = materialize(instance, "a")
    materialize(instance, "a")
    age(dagster, replaced, 40)
    dagster.execute("UPDATE runs SET backfill_id = 'fill' WHERE run_id = %s", [replaced])
    dagster.execute("INSERT INTO bulk_actions (key, status, timestamp) VALUES ('fill', 'REQUESTED', now())")
    assert dagster_retention.prune_runs(dagster, days=30, after=None).removed == 0
    dagster.execute("UPDATE bulk_actions SET status = 'COMPLETED_SUCCESS'")
    assert dagster_retention.prune_runs(dagster, days=30, after=None).removed == 1


@pytest.fixture
def aged_rows(owner: psycopg.Connection[Any], dagster: psycopg.Connection[Any]) -> None:
    """Make one old row of each kind that has a setting."""
    make_version(owner, url="https://example.com/a", over_days=40)
    owner.execute(
        "INSERT INTO cixml.batches (id, kind, corpus_id, state, items, lease_until, finished_at) "
        "SELECT uuidv7(interval '-40 days'), 'ingest', id, 'done', 1, now(), now() - interval '40 days' "
        "FROM cixml.corpora"
    )
    past = "now() - interval '40 days'"
    dagster.execute(f"INSERT INTO runs (run_id, status, update_timestamp) VALUES ('old', 'FAILURE', {past})")
    dagster.execute(f"INSERT INTO event_logs (run_id, event, timestamp) VALUES ('old', '{{}}', {past})")
    dagster.execute(f"INSERT INTO job_ticks (job_origin_id, timestamp) VALUES ('s', {past}), ('s', now())")


def rows_left(owner: psycopg.Connection[Any], dagster: psycopg.Connection[Any]) -> dict[str, int]:
    return {table: count(dagster, table) for table in ("event_logs", "runs", "job_ticks")} | {
        table: count(owner, f"cixml.{table}") for table in ("document_versions", "page_bodies", "batches")
    }


@pytest.mark.usefixtures("aged_rows")
def test_zero_days_keep_for_ever(
    owner: psycopg.Connection[Any], dagster: psycopg.Connection[Any], database: Database, dagster_url: str
) -> None:
    for_ever = dict.fromkeys(("run_event_days", "run_days", "tick_days", "version_days", "batch_days"), 0)
    before = rows_left(owner, dagster)
    found = Retention(settings_of(database, dagster_url, **for_ever))
    for _ in range(20):
        found.step()
    found.close()
    assert rows_left(owner, dagster) == before


@pytest.mark.usefixtures("aged_rows")
def test_a_look_of_lifeline_gives_work_back_and_removes_what_has_aged(
    owner: psycopg.Connection[Any],
    dagster: psycopg.Connection[Any],
    database: Database,
    dagster_url: str,
    instance: dg.DagsterInstance,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="cixml.retention")
    owner.execute(
        "INSERT INTO cixml.batches (kind, corpus_id, run_id, state, items, lease_until) "
        "SELECT 'ingest', id, %s, 'running', 1, now() - interval '1 second' FROM cixml.corpora",
        [str(uuid4())],
    )
    parts = Runtime(settings_of(database, dagster_url))
    lifeline = Lifeline(parts, instance)
    lifeline.look()
    assert count(owner, "cixml.batches", "state = 'lost'") == 1
    deadline = time.monotonic() + LOOK_SECONDS
    while "1 batches" not in caplog.text:
        assert time.monotonic() < deadline, "the sweep does not end"
        time.sleep(0.01)
        lifeline.look()
    lifeline.close()
    parts.database.close()
    assert rows_left(owner, dagster) == {
        "event_logs": 0,
        "runs": 0,
        "job_ticks": 1,  # the young one
        "document_versions": 0,
        "page_bodies": 0,
        "batches": 1,  # the lost one
    }
