"""Pages that a crawl found gone: one that can't be deleted keeps no other waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg
import pytest
from dagster import DagsterInstance

from resources.orchestration.deletion import Sweeper
from resources.postgres import corpus_lock
from resources.postgres.database import Database as PipelineDatabase
from tests.builders import make_job, make_worker
from tests.database import Database
from tests.deletion import sweeper_of
from tests.rows import index

Owner = psycopg.Connection[Any]
REPORT = """
INSERT INTO cixml.removed_pages (item_id, document_id, corpus_id, caller_id, removed_at)
SELECT i.id, d.id, d.corpus_id, i.caller_id, now() FROM cixml.documents d JOIN cixml.job_items i ON i.document_id = d.id
"""
FAIL_FOR_FIRST = """
CREATE FUNCTION cixml.no_deletion() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.deleted_at IS NOT NULL AND NEW.url LIKE '%/first' THEN RAISE EXCEPTION 'this one stays'; END IF;
    RETURN NEW;
END $$
"""


@pytest.fixture
def sweeper(database: Database) -> Iterator[Sweeper]:
    with DagsterInstance.ephemeral() as instance, closing(sweeper_of(database, instance)) as found:
        yield found


@pytest.fixture
def corpora(owner: Owner, pipeline: PipelineDatabase) -> list[UUID]:
    """Make two corpora, each with a page that a crawl found gone; return them in the order of these reports."""
    make_worker(owner)
    made = []
    for name in ("first", "second"):
        made.append(make_job(owner, f"https://example.com/{name}", corpus=name).corpus_id)
        index(pipeline, name.encode(), f"the text of {name}")
    owner.execute(REPORT)
    return made


def waiting(owner: Owner) -> list[str]:
    """Return the corpora whose page still waits to be deleted."""
    rows = owner.execute(
        "SELECT c.name FROM cixml.removed_pages r JOIN cixml.corpora c ON c.id = r.corpus_id ORDER BY 1"
    )
    return [row[0] for row in rows]


def step_to_the_end(sweeper: Sweeper) -> None:
    for _ in range(50):
        if not sweeper.step():
            return
    raise AssertionError("the sweep finds no end")


def test_a_page_whose_deletion_fails_is_put_off_and_the_others_go(
    owner: Owner, sweeper: Sweeper, corpora: list[UUID]
) -> None:
    owner.execute(FAIL_FOR_FIRST)
    owner.execute(
        "CREATE TRIGGER no_deletion BEFORE UPDATE ON cixml.documents FOR EACH ROW EXECUTE FUNCTION cixml.no_deletion()"
    )
    step_to_the_end(sweeper)
    assert waiting(owner) == ["first"]
    owner.execute("DROP TRIGGER no_deletion ON cixml.documents")
    owner.execute("UPDATE cixml.removed_pages SET ready_at = now()")
    step_to_the_end(sweeper)
    assert waiting(owner) == []
    assert owner.execute("SELECT count(*) FROM cixml.documents WHERE deleted_at IS NULL").fetchone() == (0,)


def test_a_page_of_a_busy_corpus_is_put_off_and_the_others_go(
    owner: Owner, pipeline: PipelineDatabase, sweeper: Sweeper, corpora: list[UUID]
) -> None:
    with pipeline.transaction() as writing:
        corpus_lock.share(writing, corpus_id=corpora[0])
        step_to_the_end(sweeper)
        assert waiting(owner) == ["first"]
    owner.execute("UPDATE cixml.removed_pages SET ready_at = now()")
    step_to_the_end(sweeper)
    assert waiting(owner) == []
