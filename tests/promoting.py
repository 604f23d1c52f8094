"""Promotions of a corpus, step by step on rows, without Dagster's engine."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import numpy as np
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from resources.orchestration import tags
from resources.orchestration.promotion import Promoted, promote
from resources.orchestration.runtime import Runtime
from resources.orchestration.work import RunWork
from resources.postgres import batches, corpus_levels, graph_upkeep, promotions
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.graph_upkeep import NOTHING
from tests.builders import make_corpus, make_job, make_worker
from tests.database import Database
from tests.rows import index, vector_of

ROWS = 20
Owner = psycopg.Connection[Any]


class Runs:
    """Runs on one corpus, without Dagster around them."""

    def __init__(self, database: Database) -> None:
        self._settings = database.settings(search={"promote_rows": ROWS})
        self.parts = Runtime(self._settings)

    def work(self, partition_key: str, **more: str) -> RunWork:
        run = dg.DagsterRun(job_name="promotion", run_id=str(uuid4()), tags={tags.PARTITION: partition_key} | more)
        return RunWork(run, self.parts)

    def promote(self, owner: Owner, corpus_id: UUID) -> Promoted | None:
        row = owner.execute("SELECT partition_key FROM cixml.corpora WHERE id = %s", [corpus_id]).fetchone()
        assert row
        work = self.work(row[0])
        try:
            return promote(work)
        finally:
            work.close()


def make_large_corpus(owner: Owner, pipeline: PipelineDatabase) -> UUID:
    """Make a corpus of three documents with ten chunks each, one of them in all three: over the threshold."""
    make_worker(owner)
    corpus_id = make_corpus(owner)
    for name in "abc":
        make_job(owner, f"https://example.com/{name}")
        index(pipeline, name.encode(), "shared by all", *(f"{name} {number}" for number in range(9)))
    return corpus_id


def ask(pipeline: PipelineDatabase, corpus_id: UUID, rows: int = ROWS) -> bool:
    with pipeline.transaction() as connection:
        graph = graph_upkeep.serving_graph(connection, corpus_id=corpus_id)
        upkeep = NOTHING
        if graph is not None:
            beside = graph_upkeep.count_beside(connection, graph=graph)
            upkeep = graph_upkeep.needs(graph, beside=beside, threshold=rows)
        return promotions.ask(connection, corpus_id=corpus_id, promote_rows=rows, upkeep=upkeep)


def due(pipeline: PipelineDatabase, *, quiet_seconds: float = 0.0) -> list[UUID]:
    with pipeline.transaction() as connection:
        found = promotions.due(connection, quiet_seconds=quiet_seconds)
        return [each.index_version_id for each in found]


def versions(owner: Owner, corpus_id: UUID) -> dict[str, str]:
    """Return the state of the corpus's index versions by their kind."""
    rows = owner.execute("SELECT kind, state FROM cixml.index_versions WHERE corpus_id = %s", [corpus_id])
    return dict(rows.fetchall())


def serving(owner: Owner, corpus_id: UUID) -> tuple[str, str]:
    row = owner.execute(
        "SELECT kind, relation FROM cixml.index_versions WHERE corpus_id = %s AND state = 'serving'", [corpus_id]
    ).fetchone()
    assert row
    return row


def hashes(owner: Owner, relation: str, corpus_id: UUID) -> set[UUID]:
    rows = owner.execute(f"SELECT chunk_hash FROM cixml.{relation} WHERE corpus_id = %s".encode(), [corpus_id])
    return {row[0] for row in rows}


def live_hashes(owner: Owner, corpus_id: UUID) -> set[UUID]:
    rows = owner.execute(
        "SELECT k.chunk_hash FROM cixml.documents d JOIN cixml.chunk_sets s "
        "ON s.document_version_id = d.live_version_id JOIN cixml.chunks k ON k.chunk_set_id = s.id "
        "WHERE d.corpus_id = %s",
        [corpus_id],
    )
    return {row[0] for row in rows}


def assert_like_a_corpus_built_afresh(owner: Owner, pipeline: PipelineDatabase, corpus_id: UUID) -> None:
    """Every live chunk has its own vector where the corpus is served, and the nearest are those of brute force."""
    register_vector(owner)
    _, relation = serving(owner, corpus_id)
    live = live_hashes(owner, corpus_id)
    assert live <= hashes(owner, relation, corpus_id)
    truth = {each: vector_of(each) for each in live}
    for probe in sorted(live)[:5]:
        order = sorted(live, key=lambda each: -float(np.dot(truth[each], truth[probe])))[:5]
        rows = owner.execute(
            f"SELECT chunk_hash FROM cixml.{relation} WHERE corpus_id = %s AND chunk_hash = ANY (%s) "
            "ORDER BY embedding <#> %s LIMIT 5".encode(),
            [corpus_id, list(live), HalfVector(truth[probe])],
        )
        assert [row[0] for row in rows] == order
    with pipeline.transaction() as connection:
        found = corpus_levels.check(
            connection, corpus_id=corpus_id, index=batches.serving_index(connection, corpus_id=corpus_id)
        )
    assert (found.chunks_without_vector, found.levels_agree) == (0, True)
