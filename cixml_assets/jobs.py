"""The jobs that sensors start: one per model, since a corpus's run embeds for its live index only; the one that
fills another index, and promotion."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from resources.embedding.registry import Model


def index_job_of(model: Model) -> UnresolvedAssetJobDefinition:
    """Return the job that takes a batch from URL to searchable with one model, in one warm process."""
    keys = [dg.AssetKey("raw_pages"), dg.AssetKey("chunks"), dg.AssetKey(["embeddings", model.slug])]
    return dg.define_asset_job(
        name=f"index_{model.slug}",
        selection=dg.AssetSelection.assets(*keys, dg.AssetKey("search_index")),
        executor_def=dg.in_process_executor,
        description=f"Fetch, cut and embed one batch of a corpus with {model.id}.",
    )


def reindex_job_of(model: Model) -> UnresolvedAssetJobDefinition:
    """Return the job that fills an index version of one model from what is stored. Nothing is fetched."""
    keys = [dg.AssetKey("chunks"), dg.AssetKey(["embeddings", model.slug]), dg.AssetKey("index_comparison")]
    return dg.define_asset_job(
        name=f"reindex_{model.slug}",
        selection=dg.AssetSelection.assets(*keys, dg.AssetKey("search_index")),
        executor_def=dg.in_process_executor,
        description=f"Fill another index of a corpus with {model.id}, and let it serve where that is asked for.",
    )


def promotion_job() -> UnresolvedAssetJobDefinition:
    """Return the job that builds the index of a corpus that outgrew the exact scan."""
    return dg.define_asset_job(
        name="promotion",
        selection=dg.AssetSelection.assets(dg.AssetKey("search_index")),
        executor_def=dg.in_process_executor,
        description="Build the HNSW index of a large corpus beside what serves it, and flip.",
    )
