"""Runs that fill and flip index versions, step by step on rows, without Dagster's engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import numpy as np
import numpy.typing as npt
import psycopg
import pytest

from resources.orchestration import tags
from resources.orchestration.chunk_io_manager import ChunkIOManager
from resources.orchestration.early_graph import EarlyGraph
from resources.orchestration.fill_progress import FillProgress
from resources.orchestration.pgvector_io_manager import PgVectorIOManager
from resources.orchestration.reindexing import flip_build, make_ready
from resources.orchestration.runtime import Runtime
from resources.orchestration.streams import ChunkOutcome, ChunksToEmbed, ChunkStream, EmbeddedTexts, VectorStream
from resources.orchestration.vector_plan import VectorPlan
from resources.orchestration.work import RunWork
from resources.postgres import batches, corpus_levels, index_builds, pages
from resources.postgres.chunks import ChunkedVersion
from resources.postgres.database import Database as PipelineDatabase
from resources.types import ExtractedDocument
from tests.builders import make_corpus, make_job, make_worker
from tests.database import Database
from tests.models import SECOND, SECOND_DIMENSION, migrate_models, write_models_file
from tests.rows import MODEL, extracted, index, vector_of

Owner = psycopg.Connection[Any]
Cut = Callable[[str], ExtractedDocument]


def second_vector(text_hash: UUID) -> npt.NDArray[np.float32]:
    vector = vector_of(text_hash)[:SECOND_DIMENSION]
    return vector / np.linalg.norm(vector)


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What a run left."""

    documents_missing: int
    is_serving: bool


class Runs:
    """Runs that fill index versions, without Dagster around them."""

    def __init__(self, database: Database, models_file: Path, **search: float) -> None:
        self.parts = Runtime(
            database.settings(embedding={"models_file": models_file}, search={"promote_rows": 1000} | search)
        )

    def fill(
        self,
        owner: Owner,
        version: UUID,
        cut: Cut | None = None,
        *,
        meanwhile: Callable[[], object] | None = None,
        before_last: Callable[[], object] | None = None,
    ) -> Filled:
        """Do what a run of chunks, embeddings, index_comparison and search_index does, but for the comparison.

        With `before_last` the graph is begun early, and that is called before the last vector is stored.
        """
        row = owner.execute(
            "SELECT c.partition_key FROM cixml.index_versions v JOIN cixml.corpora c ON c.id = v.corpus_id "
            "WHERE v.id = %s",
            [version],
        ).fetchone()
        assert row
        run = dg.DagsterRun(
            job_name="reindex",
            run_id=str(uuid4()),
            tags={tags.PARTITION: row[0], tags.INDEX_VERSION: str(version)},
        )
        work = RunWork(run, self.parts)
        try:
            self.cut(work, cut)
            self.embed(work, before_last=before_last)
            if meanwhile:
                meanwhile()
            make_ready(work)
            flipped = flip_build(work)
            return Filled(
                documents_missing=flipped.documents_missing if flipped else 0,
                is_serving=bool(flipped and flipped.is_serving),
            )
        finally:
            work.close()

    def cut(self, work: RunWork, cut: Cut | None) -> None:
        lease, version = work.of_model(None)
        with lease.reading() as connection:
            owed = pages.versions_to_chunk(connection, batch_id=lease.batch.batch_id, chunking_fp=version.chunking_fp)
            bodies = pages.bodies(
                connection,
                version_ids=[each.document_version_id for each in owed],
                from_raw=version.is_from_raw,
            )
        outcomes = []
        for each in owed:
            body = bodies[each.document_version_id]
            source = (body.body or b"").decode() if version.is_from_raw else body.text
            assert cut, "nothing was to be cut"
            assert source is not None
            outcomes.append(ChunkOutcome(version=each, chunked=ChunkedVersion(version=each, document=cut(source))))
        ChunkIOManager().handle_output(
            dg.build_output_context(), ChunkStream(lease=lease, index=version, outcomes=outcomes)
        )

    def embed(self, work: RunWork, most: int | None = None, *, before_last: Callable[[], object] | None = None) -> int:
        lease, version = work.of_model(None)
        owed = ChunksToEmbed(lease, version)
        rows = owed.rows()
        plan = VectorPlan.of(rows)
        vector = vector_of if version.model == MODEL else second_vector
        hashes = list(plan.owed)[:most]

        def answers() -> Iterator[EmbeddedTexts]:
            for each in hashes:
                if before_last and each == hashes[-1]:
                    before_last()
                yield EmbeddedTexts(hashes=[each], vectors=np.stack([vector(each)]), tokens=3)

        stream = VectorStream(lease=lease, index=version, plan=plan, answers=answers(), progress=FillProgress(rows))
        if before_last:
            texts = len({row.chunk_hash for row in rows})
            stream.graph = EarlyGraph(self.parts, lease, version, texts=texts, missing=len(plan.owed))
        PgVectorIOManager().handle_output(dg.build_output_context(), stream)
        return len(hashes)


def write(owner: Owner, pipeline: PipelineDatabase, name: str, *texts: str) -> None:
    make_job(owner, f"https://example.com/{name}")
    index(pipeline, f"page {name} {texts}".encode(), "shared by all. ", *(texts or (f"{name} one. ", f"{name} two. ")))


def ask(owner: Owner, corpus_id: UUID, *, model: str = SECOND, source: str = "chunks", activate: str = "manual",
        kind: str = "exact") -> UUID:  # fmt: skip
    """Ask for a version as the API does."""
    version = uuid4()
    owner.execute(
        "INSERT INTO cixml.index_versions (id, corpus_id, model_id, chunking, chunking_fp, relation, kind, state, "
        "fill_from, activate) SELECT %(id)s, x.corpus_id, m.id, x.chunking, "
        "CASE WHEN %(source)s = 'chunks' THEN x.chunking_fp ELSE x.chunking_fp || '-' || %(id)s END, "
        "CASE WHEN %(kind)s = 'exact' THEN m.relation ELSE 'vectors_' || %(hex)s END, %(kind)s, 'building', "
        "%(source)s, %(activate)s FROM cixml.index_versions x, cixml.models m "
        "WHERE x.corpus_id = %(corpus)s AND x.state = 'serving' AND m.name = %(model)s AND m.is_enabled",
        {"id": version, "hex": version.hex, "corpus": corpus_id, "model": model, "source": source,
         "activate": activate, "kind": kind},
    )  # fmt: skip
    return version


def activate(owner: Owner, version: UUID) -> None:
    owner.execute(
        "UPDATE cixml.index_versions SET state = 'ready', activate_at = now(), drop_after = NULL WHERE id = %s",
        [version],
    )


def state(owner: Owner, version: UUID) -> str:
    row = owner.execute("SELECT state FROM cixml.index_versions WHERE id = %s", [version]).fetchone()
    assert row
    return str(row[0])


def serving(owner: Owner, corpus_id: UUID) -> tuple[UUID, str]:
    row = owner.execute(
        "SELECT v.id, m.name FROM cixml.index_versions v JOIN cixml.models m ON m.id = v.model_id "
        "WHERE v.corpus_id = %s AND v.state = 'serving'",
        [corpus_id],
    ).fetchone()
    assert row
    return row


def chunk_ids(owner: Owner, corpus_id: UUID) -> list[tuple[UUID, UUID, str]]:
    """Return the chunks that searches are answered with."""
    return owner.execute(
        "SELECT d.id, k.chunk_id, k.text FROM cixml.documents d "
        "JOIN cixml.index_versions x ON x.corpus_id = d.corpus_id AND x.state = 'serving' "
        "JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = x.chunking_fp "
        "JOIN cixml.chunks k ON k.chunk_set_id = s.id WHERE d.corpus_id = %s ORDER BY d.id, k.ordinal",
        [corpus_id],
    ).fetchall()


def relation_of(owner: Owner, version: UUID) -> str:
    row = owner.execute("SELECT relation FROM cixml.index_versions WHERE id = %s", [version]).fetchone()
    assert row
    return str(row[0])


def hashes(owner: Owner, relation: str, corpus_id: UUID) -> set[UUID]:
    rows = owner.execute(f"SELECT chunk_hash FROM cixml.{relation} WHERE corpus_id = %s".encode(), [corpus_id])
    return {row[0] for row in rows}


def assert_sound(pipeline: PipelineDatabase, corpus_id: UUID) -> None:
    """What serves finds every live chunk, and the kept levels are those of the rows: as of a corpus built afresh."""
    with pipeline.transaction() as connection:
        found = corpus_levels.check(
            connection, corpus_id=corpus_id, index=batches.serving_index(connection, corpus_id=corpus_id)
        )
    assert (found.chunks_without_vector, found.levels_agree) == (0, True)


def due(pipeline: PipelineDatabase) -> list[UUID]:
    with pipeline.transaction() as connection:
        return [each.index_version_id for each in index_builds.due(connection)]


def texts_of(text: str) -> list[str]:
    return [f"{part}. " for part in text.split(". ") if part.strip()]


def same_cut(text: str) -> ExtractedDocument:
    return extracted(*texts_of(text))


@pytest.fixture
def runs(database: Database, tmp_path: Path) -> Iterator[Runs]:
    path = write_models_file(tmp_path)
    migrate_models(database, path)
    found = Runs(database, path)
    yield found
    found.parts.database.close()


@pytest.fixture
def corpus(owner: Owner, pipeline: PipelineDatabase, runs: Runs) -> UUID:
    """A corpus of three documents with three chunks each, one of them in all."""
    make_worker(owner)
    corpus_id = make_corpus(owner)
    for name in "abc":
        write(owner, pipeline, name)
    return corpus_id


def run_of(owner: Owner, version: UUID, run_id: str = "r") -> dg.DagsterRun:
    row = owner.execute("SELECT partition_key FROM cixml.corpora").fetchone()
    assert row
    return dg.DagsterRun(job_name="x", run_id=run_id, tags={tags.PARTITION: row[0], tags.INDEX_VERSION: str(version)})
