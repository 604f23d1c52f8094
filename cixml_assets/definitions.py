"""Builds the code location: assets, checks, jobs, sensors, resources. A composition root: nothing imports it."""

from __future__ import annotations

import dagster as dg

from cixml_assets.corpus import (
    chunks,
    corpora,
    embeddings_of,
    index_comparison_after,
    raw_pages,
    search_index_after,
)
from cixml_assets.extracting import ExtractorResource
from cixml_assets.jobs import index_job_of, promotion_job, reindex_job_of
from resources.embedding.registry import load_registry
from resources.orchestration.chunk_io_manager import ChunkIOManager
from resources.orchestration.embedding import EmbeddingResource
from resources.orchestration.fetching import FetchResource
from resources.orchestration.page_io_manager import PageIOManager
from resources.orchestration.pgvector_io_manager import PgVectorIOManager
from resources.orchestration.work import WorkResource
from resources.settings import Settings
from sensors.index_versions import index_versions_sensor
from sensors.promotions import promotions_sensor
from sensors.submitted_jobs import submitted_jobs_sensors


@dg.definitions
def defs() -> dg.Definitions:
    """Read the settings and models.toml, and build everything. Nothing connects here."""
    settings = Settings.load()
    models = load_registry(settings.embedding.models_file).enabled
    jobs = {model.id: index_job_of(model) for model in models}
    reindex_jobs = {model.id: reindex_job_of(model) for model in models}
    promotion = promotion_job()
    return dg.Definitions(
        assets=[
            raw_pages,
            chunks,
            *(embeddings_of(model) for model in models),
            index_comparison_after(models),
            search_index_after(models),
        ],
        jobs=[*jobs.values(), *reindex_jobs.values(), promotion],
        sensors=[
            *submitted_jobs_sensors(jobs=jobs, partitions=corpora),
            index_versions_sensor(reindex_jobs, corpora),
            promotions_sensor(promotion),
        ],
        executor=dg.in_process_executor,
        resources={
            "work": WorkResource(),
            "fetch": FetchResource(),
            "extractor": ExtractorResource(),
            "embedding": EmbeddingResource(),
            "page_io_manager": PageIOManager(),
            "chunk_io_manager": ChunkIOManager(),
            "pgvector_io_manager": PgVectorIOManager(),
        },
    )
