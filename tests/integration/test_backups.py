"""A backup that is made under load comes back whole, in another database: rows, indices, policies, rights, answers."""

from __future__ import annotations

import json
import threading
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cixml.backup.manifest import MANIFEST, BackupError, mark_of, read_manifest
from cixml.embedded.migration import run_migrations
from resources.orchestration.lease import give_up
from resources.postgres import batches
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.migrate import prepare_server
from resources.settings import PipelineSettings, Settings
from resources.types import BatchState
from tests.api import ALICE, index_document, running_api
from tests.builders import make_job, make_worker
from tests.database import Database
from tests.integration.test_search_by_graph import promote_now
from tests.places import LOGIN, Installation, Places, back_up, restore, shape
from tests.reindexing import assert_sound
from tests.rows import begin, claim_all, index
from tests.stack import poll

Owner = psycopg.Connection[Any]
QUERIES = ("word3 term5", "thing11", "word7")


@pytest.fixture
def here(places: Places, database: Database) -> Installation:
    """What is backed up: chosen, with a database for Dagster that is empty yet."""
    found = places.at(database)
    places.choose(found)
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        prepare_server(connection, Settings.load())
    return found


async def answers(place: Installation) -> list[Any]:
    settings = place.database.settings(api={"keys_file": place.keys})
    async with running_api(settings) as api:
        found = [
            await api.post("/v1/corpora/docs/search", {"query": query, "top_k": 7, "mode": mode})
            for query in QUERIES
            for mode in ("dense", "keyword", "hybrid")
        ]
        assert {answer.status_code for answer in found} == {200}
        return [[(hit["chunk_id"], hit["score"]) for hit in answer.json()["results"]] for answer in found]


async def test_a_restored_copy_answers_the_same_and_goes_on_with_what_was_open(
    here: Installation, places: Places, owner: Owner, tmp_path: Path
) -> None:
    run_migrations(here.home)
    async with running_api(here.database.settings(api={"keys_file": here.keys})) as api:
        await api.post("/v1/jobs", {"corpus": "docs", "urls": ["https://e.com/open"]})
        with psycopg.connect(here.database.pipeline_url) as rows:
            for number in range(30):
                texts = [f"word{number} term{part} thing{number * 10 + part}" for part in range(10)]
                index_document(rows, corpus="docs", owner=ALICE, url=f"https://e.com/{number}", texts=texts)
    owner.execute(
        "INSERT INTO cixml.corpus_levels (corpus_id, chunking_fp, documents, chunks, tokens, digest) "
        "SELECT corpus_id, chunking_fp, 30, 300, 900, 1 FROM cixml.index_versions"
    )
    promote_now(here.database, owner)
    make_worker(owner)
    pipeline = PipelineDatabase(here.database.pipeline_url)
    [claimed] = claim_all(pipeline)
    begin(pipeline, claimed.batch_id)
    pipeline.close()
    before = await answers(here)

    made = back_up(here, tmp_path / "backup")
    assert made.rows["documents"] == 30
    assert json.loads((tmp_path / "backup" / "keys.json").read_text()) == json.loads(here.keys.read_text())
    there = places.new()
    places.choose(there)
    assert restore(there, tmp_path / "backup") == ["empty Redis (FLUSHDB): it may know runs that are no more"]

    assert shape(there.database.owner_url) == shape(here.database.owner_url)
    assert any("hnsw" in definition for _, definition in shape(there.database.owner_url)["indices"])
    assert json.loads(there.keys.read_text()) == json.loads(here.keys.read_text())
    assert await answers(there) == before
    with psycopg.connect(there.database.owner_url, autocommit=True) as connection:
        connection.execute("UPDATE cixml.batches SET lease_until = now() WHERE state = 'running'")  # 15 s later
        make_worker(connection)
    again = PipelineDatabase(there.database.pipeline_url)
    with again.transaction() as rows:
        lost = batches.expired(rows)
        assert lost
        assert lost.batch_id == claimed.batch_id
        give_up(rows, lost.batch_id, BatchState.LOST, PipelineSettings(), spared_by="restored")
    [ended] = index(again, b"<p>late</p>", "late words")
    assert ended.status == "indexed"
    again.close()


def test_what_is_written_meanwhile_is_in_it_whole_or_not_at_all(
    here: Installation, places: Places, owner: Owner, tmp_path: Path
) -> None:
    make_worker(owner)
    stopped = threading.Event()
    written: list[object] = []

    def write() -> None:
        with psycopg.connect(here.database.owner_url, autocommit=True) as connection:
            pipeline = PipelineDatabase(here.database.pipeline_url)
            for number in count():
                if stopped.is_set():
                    break
                make_job(connection, f"https://e.com/{number}")
                written.extend(index(pipeline, f"<p>{number}</p>".encode(), f"alpha {number}", f"beta {number}"))
            pipeline.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        poll(lambda: written, "the first page")
        made = back_up(here, tmp_path / "backup")
    finally:
        stopped.set()
        writer.join()
    assert 0 < made.rows["documents"] < len(written)
    there = places.new()
    places.choose(there)
    restore(there, tmp_path / "backup")
    again = PipelineDatabase(there.database.pipeline_url)
    with again.transaction() as rows:
        found = rows.execute(
            "SELECT (SELECT id FROM cixml.corpora), (SELECT count(*) FROM cixml.job_items WHERE status = 'indexed'), "
            "(SELECT count(*) FROM cixml.documents WHERE live_version_id IS NOT NULL), "
            "(SELECT documents FROM cixml.corpus_levels)"
        ).fetchone()
    assert found
    assert found[1] == found[2] == found[3]
    assert_sound(again, found[0])
    again.close()


def edited(folder: Path, **values: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_restore_that_would_not_be_right_is_refused_and_leaves_what_is_there(
    here: Installation, places: Places, owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(owner, "https://e.com/1")
    folder = tmp_path / "backup"
    made = back_up(here, folder)
    with pytest.raises(BackupError, match="there already"):
        back_up(here, folder)
    with pytest.raises(BackupError, match=f"{tmp_path}/none is no backup"):
        restore(here, tmp_path / "none")

    with pytest.raises(BackupError, match="stop everything but Postgres"):  # the session of `owner`
        restore(here, folder, overwrite=True)
    owner.close()
    with pytest.raises(BackupError, match="give --overwrite"):
        restore(here, folder)
    unknown = [each.model_dump() for each in made.migrations] + [{"name": "9999_later.sql", "checksum": "0"}]
    for values, complaint in (
        ({"migrations": unknown}, "does not know.*9999_later.sql"),
        ({"owner": "somebody"}, "the backup's owner is somebody"),
        ({"server_version": 190001}, "older than that of the backup, 19"),
        ({"format": 2}, "another format"),
        ({"pepper_mark": mark_of("another")}, "not the pepper"),
    ):
        edited(folder, **values)
        with pytest.raises(BackupError, match=complaint):
            restore(here, folder, overwrite=True)
        edited(folder, **made.model_dump(mode="json"))
    monkeypatch.delenv("CIXML_API__KEY_PEPPER")
    with pytest.raises(BackupError, match="set CIXML_API__KEY_PEPPER"):
        restore(here, folder, overwrite=True)
    with psycopg.connect(here.database.owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM cixml.job_items").fetchone() == (1,)


def test_half_a_restore_is_taken_back(here: Installation, places: Places, owner: Owner, tmp_path: Path) -> None:
    """A file that is cut off stands for a full disk, a killed server, a bad copy: pg_restore fails in the middle."""
    make_job(owner, "https://e.com/1")
    folder = tmp_path / "backup"
    made = back_up(here, folder)
    largest = max((folder / "cixml").glob("*.dat.gz"), key=lambda path: path.stat().st_size)
    whole = largest.read_bytes()
    largest.write_bytes(whole[: len(whole) // 2])
    there = places.new()
    places.choose(there)
    with pytest.raises(BackupError, match="pg_restore failed"):
        restore(there, folder)
    with psycopg.connect(there.database.owner_url) as connection:
        assert connection.execute("SELECT to_regnamespace('cixml')").fetchone() == (None,)
    largest.write_bytes(whole)
    edited(folder, rows=made.rows | {"jobs": 2})
    with pytest.raises(BackupError, match="not everything came back: jobs: 1 rows instead of 2"):
        restore(there, folder)
    edited(folder, **made.model_dump(mode="json"))
    restore(there, folder)
    assert read_manifest(folder) == made


def test_a_backup_that_fails_leaves_no_folder(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIXML_DAGSTER__DATABASE_URL", f"postgresql+psycopg2://{LOGIN}:secret@127.0.0.1:1/none")
    with pytest.raises(Exception, match="Connection refused"):
        back_up(here, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
