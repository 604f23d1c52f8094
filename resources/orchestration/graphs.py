"""Builds the graph of an index version that does not serve yet, and asks it whether it finds what is near."""

from __future__ import annotations

import logging

import dagster as dg

from resources.errors import EmbeddingUnavailableError
from resources.orchestration import progress
from resources.orchestration.lease import Lease
from resources.orchestration.query_vectors import Vector, query_vectors
from resources.orchestration.runtime import Runtime
from resources.postgres import comparisons, promotions, recall
from resources.postgres.batches import IndexVersion
from resources.postgres.recall import MIN_RECALL, Recall

logger = logging.getLogger("cixml.graphs")


def build_graph(parts: Runtime, lease: Lease, index: IndexVersion, *, rows: int) -> Recall:
    """Build it over what the relation holds, and ask it. What comes later stands beside it."""
    dimension = parts.registry.get(index.model).dimension
    with lease.transaction() as connection:
        promotions.divide(connection, index=index)
    with progress.waiting(), lease.transaction() as connection:
        promotions.build(connection, index=index, rows=rows, dimension=dimension)
    queries = _labelled(parts, lease, index)
    with progress.waiting(), lease.transaction() as connection:
        found = recall.tune(connection, index=index, dimension=dimension, queries=queries)
        if found.is_enough:
            promotions.note_built(connection, index=index, rows=rows)
    if not found.is_enough:
        raise dg.Failure(
            f"the graph finds {found.recall:.3f} of the ten nearest, {MIN_RECALL} is asked for: "
            "the corpus stays where it is"
        )
    return found


def _labelled(parts: Runtime, lease: Lease, index: IndexVersion) -> list[Vector]:
    """Return vectors of the corpus's labelled queries. Without the embedding server its own vectors have to do."""
    with lease.reading() as connection:
        texts = comparisons.labelled_queries(connection, corpus_id=lease.batch.corpus_id, limit=recall.SAMPLE)
    if not texts:
        return []
    try:
        vectors = query_vectors(parts, parts.embedding(parts.registry.get(index.model)), texts)
    except EmbeddingUnavailableError as error:
        logger.warning("the graph of %s is asked without labelled queries: %s", index.index_version_id, error)
        return []
    return [vector for vector in vectors if vector is not None]
