"""What a comparison says of an index version before it serves: by labels, by time, and of its graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest

from cixml_assets.checks import comparison_result
from resources.embedding.answer import Embedded
from resources.embedding.registry import Model
from resources.errors import EmbeddingRejectedError, EmbeddingUnavailableError
from resources.orchestration.comparison import compare
from resources.orchestration.reindexing import flip_build, make_ready
from resources.orchestration.runtime import Runtime
from resources.orchestration.work import RunWork
from resources.postgres.chunks import chunk_hash
from resources.postgres.database import Database as PipelineDatabase
from tests.database import Database
from tests.models import write_models_file
from tests.reindexing import (
    Owner,
    Runs,
    ask,
    relation_of,
    run_of,
    second_vector,
)
from tests.rows import MODEL, vector_of


class Asked:
    """Embeds queries that are texts of chunks: as near as can be to their chunk, or as far."""

    def __init__(self, vector: Callable[[UUID], npt.NDArray[np.float32]]) -> None:
        self._vector = vector

    async def embed(self, texts: Sequence[str], *, operation: str) -> Embedded:
        assert operation == "read"
        if any("too long" in text for text in texts):
            raise EmbeddingRejectedError("context_too_long", "300 tokens, the model takes 256")
        return Embedded(vectors=np.stack([self._vector(chunk_hash(text)) for text in texts]), tokens=1)


class AskedRuntime(Runtime):
    """The serving model answers labelled queries well, the other as badly as it can."""

    def embedding(self, model: Model) -> Any:
        return Asked(vector_of if model.id == MODEL else lambda each: -second_vector(each))


def test_a_version_that_is_worse_by_the_labels_does_not_serve_unless_it_is_forced(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs
) -> None:
    owner.execute(
        "INSERT INTO cixml.labels SELECT %s, n, x || ' one. ', ARRAY['https://example.com/' || left(x, 1), 'gone'] "
        "FROM unnest('{a,b,c,nowhere,a too long}'::text[]) WITH ORDINALITY AS l (x, n)",
        [corpus],
    )
    version = ask(owner, corpus, activate="auto")
    work = RunWork(run_of(owner, version), runs.parts)
    runs.embed(work)
    ready = make_ready(work)
    assert ready is not None
    found = compare(ready.lease, ready.build, AskedRuntime(runs.parts.settings))
    assert (found.queries, found.is_labelled, found.is_good) == (3, True, False), "one is too long, one is of no page"
    assert found.serving is not None
    assert (found.serving.ndcg_at_10, found.overlap_at_10) == (1.0, 1.0)
    assert found.candidate.ndcg_at_10 is not None
    assert found.candidate.ndcg_at_10 < 0.9
    check = comparison_result(found, is_forced=False)
    assert (check.passed, "below 1.000" in (check.description or "")) == (False, True)
    assert comparison_result(found, is_forced=True).passed
    assert flip_build(work) is None, "it is not asked to serve any more"
    kept = owner.execute(
        "SELECT state, comparison -> 'is_good', error ->> 'code' FROM cixml.index_versions WHERE id = %s", [version]
    ).fetchone()
    assert kept == ("ready", False, "worse_than_serving")
    owner.execute("UPDATE cixml.index_versions SET activate_at = now(), is_forced = true WHERE id = %s", [version])
    compare(ready.lease, ready.build, AskedRuntime(runs.parts.settings))
    flipped = flip_build(work)
    work.close()
    assert flipped is not None
    assert flipped.is_serving


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_a_version_whose_searches_are_slow_does_not_serve_whatever_it_finds(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, database: Database, tmp_path: Path, kind: str
) -> None:
    runs = Runs(database, write_models_file(tmp_path), max_slowdown_ratio=3.0, max_slowdown_ms=5.0)
    version = ask(owner, corpus, activate="auto", kind=kind)
    work = RunWork(run_of(owner, version), runs.parts)
    runs.embed(work)
    ready = make_ready(work)
    assert ready is not None
    swift = compare(ready.lease, ready.build, AskedRuntime(runs.parts.settings))
    assert (swift.troubles, swift.metadata["max_slowdown_ms"]) == ([], 5.0)
    slow_reads(owner, relation_of(owner, version))
    found = compare(ready.lease, ready.build, AskedRuntime(runs.parts.settings))
    assert flip_build(work) is None, "it is not asked to serve any more"
    work.close()
    runs.parts.database.close()
    assert not found.is_labelled
    assert found.serving is not None
    assert found.candidate.p50_ms > found.serving.p50_ms + 5.0
    (trouble,) = found.troubles
    assert "more than 3 times as long, and than 5 ms longer" in trouble
    kept = owner.execute(
        "SELECT comparison #>> '{limits,max_slowdown_ratio}', error ->> 'detail' FROM cixml.index_versions "
        "WHERE id = %s",
        [version],
    ).fetchone()
    assert kept is not None
    assert (kept[0], kept[1].startswith(trouble), "--force" in kept[1]) == ("3.0", True, True)


def slow_reads(owner: Owner, relation: str) -> None:
    """Put a view in the relation's place, of which each row takes 2 ms."""
    owner.execute(f"ALTER TABLE cixml.{relation} RENAME TO slow".encode())
    owner.execute(
        f"CREATE VIEW cixml.{relation} AS SELECT s.* FROM cixml.slow s, "
        "LATERAL (SELECT pg_sleep(0.002) WHERE s.chunk_hash IS NOT NULL) z".encode()
    )
    owner.execute(f"GRANT SELECT ON cixml.{relation} TO PUBLIC".encode())


def test_without_labels_nothing_is_judged(owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs) -> None:
    work = RunWork(run_of(owner, ask(owner, corpus)), runs.parts)
    runs.embed(work)
    ready = make_ready(work)
    assert ready is not None
    found = compare(ready.lease, ready.build, AskedRuntime(runs.parts.settings))
    work.close()
    assert (found.queries, found.is_labelled, found.is_good) == (9, False, True)
    assert found.candidate.ndcg_at_10 is None


@pytest.mark.parametrize(("is_away", "asked"), [(False, 2), (True, 0)])
def test_a_graph_is_asked_the_labelled_queries_too(
    owner: Owner, pipeline: PipelineDatabase, corpus: UUID, runs: Runs, *, is_away: bool, asked: int
) -> None:
    owner.execute(
        "INSERT INTO cixml.labels SELECT %s, n, x || ' one. ', '{gone}' "
        "FROM unnest('{a,b,a too long}'::text[]) WITH ORDINALITY AS l (x, n)",
        [corpus],
    )

    class Answering(AskedRuntime):
        def embedding(self, model: Model) -> Any:
            if is_away:
                raise EmbeddingUnavailableError
            return super().embedding(model)

    parts = Answering(runs.parts.settings)
    work = RunWork(run_of(owner, ask(owner, corpus, kind="hnsw")), parts)
    runs.embed(work)
    ready = make_ready(work)
    work.close()
    parts.database.close()
    assert ready is not None
    assert ready.recall is not None
    assert (ready.recall.queries, ready.recall.is_enough) == (asked, True)
