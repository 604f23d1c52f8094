"""The pipeline as assets: raw_pages -> chunks -> embeddings/<model> -> search_index, one partition per corpus.

Bodies only say what flows; fetching, cutting and embedding are the resources', writing is the IO managers'.
What a run works on is the batch of its work resource, never a whole corpus.
(Dagster reads the annotations of assets, so they are not strings here.)
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import dagster as dg

from cixml_assets.checks import check_results, check_specs, comparison_result, comparison_spec
from cixml_assets.extracting import ExtractorResource
from resources.embedding.registry import Model
from resources.orchestration.comparison import compare
from resources.orchestration.embedding import EmbeddingResource
from resources.orchestration.fetching import FetchResource
from resources.orchestration.promotion import promote
from resources.orchestration.reindexing import flip_build, make_ready
from resources.orchestration.serving import report_index, sweep_index
from resources.orchestration.streams import ChunksToEmbed, PageToChunk
from resources.orchestration.work import WorkResource
from resources.telemetry import attributes

corpora = dg.DynamicPartitionsDefinition(name="corpora")
OWNERS = ["team:data-engineering"]
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=30), warn_window=timedelta(days=7))
"""Of the assets as a whole: something came in lately. How old the pages of a corpus are, `corpus_is_healthy` judges."""
GROUP = "corpus"


class RefreshConfig(dg.Config):
    """Which documents a run without a batch fetches again: those due, or all of the corpus."""

    refresh: str = "due"


@dg.asset(
    partitions_def=corpora,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "postgres"},
    io_manager_key="page_io_manager",
    code_version="1",
    freshness_policy=FRESHNESS,
)
def raw_pages(
    config: RefreshConfig, work: WorkResource, fetch: FetchResource, extractor: ExtractorResource
) -> dg.MaterializeResult[Any]:
    """The fetched bytes of each page, once per content: robots, politeness, conditional requests and limits obeyed."""
    lease = work.of_run.ingest(refresh_all=config.refresh == "all")
    return dg.MaterializeResult(value=fetch.stream(lease, extractor.links) if lease is not None else None)


@dg.asset(
    partitions_def=corpora,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "postgres"},
    io_manager_key="chunk_io_manager",
    ins={"raw_pages": dg.AssetIn(dagster_type=dg.Any)},  # a stream: Dagster has no type for it
    code_version="1",
)
def chunks(
    raw_pages: Iterable[PageToChunk], work: WorkResource, extractor: ExtractorResource
) -> dg.MaterializeResult[Any]:
    """The main text of each page, frozen, and its ordered token-aware chunks with offsets into it."""
    lease, index = work.of_run.of_model(None)
    return dg.MaterializeResult(value=extractor.stream(lease, index, raw_pages))


def embeddings_of(model: Model) -> dg.AssetsDefinition:
    """Return the asset of one model's vectors. A new model is a new asset whose partitions are all missing."""

    @dg.asset(
        key=["embeddings", model.slug],
        partitions_def=corpora,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"python", "openai", "postgres"},
        io_manager_key="pgvector_io_manager",
        ins={"chunks": dg.AssetIn(metadata={"model": model.id}, dagster_type=dg.Any)},
        code_version="1",
        description=f"Vectors of every chunk by {model.id} ({model.dimension} dimensions), keyed by the text's hash.",
        metadata={"model": model.id, "dimension": model.dimension, "revision": model.revision},
    )
    def embeddings(
        chunks: ChunksToEmbed,
        work: WorkResource,  # opens the run's work, of which the IO manager has just read what is owed
        embedding: EmbeddingResource,
    ) -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(value=embedding.stream(chunks, model))

    return embeddings


def index_comparison_after(models: Iterable[Model]) -> dg.AssetsDefinition:
    """Return the asset of what a filled index version is worth. What lets it serve comes after it."""

    @dg.asset(
        partitions_def=corpora,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"postgres"},
        deps=[dg.AssetKey(["embeddings", model.slug]) for model in models],
        check_specs=[comparison_spec("index_comparison", corpora)],
        code_version="1",
    )
    def index_comparison(work: WorkResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # compared as it is
        """A filled index version beside the one that serves: nDCG, recall, overlap, time, over the corpus's labels."""
        filled = make_ready(work.of_run)
        found = compare(filled.lease, filled.build, work.of_run.parts) if filled else None
        return dg.MaterializeResult(
            metadata=(filled.metadata if filled else {}) | (found.metadata if found else {}),
            check_results=[comparison_result(found, is_forced=bool(filled and filled.build.is_forced))],
        )

    return index_comparison


def search_index_after(models: Iterable[Model]) -> dg.AssetsDefinition:
    """Return the asset of what is served."""

    @dg.asset(
        partitions_def=corpora,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"postgres"},
        deps=[dg.AssetKey(["embeddings", model.slug]) for model in models] + [dg.AssetKey("index_comparison")],
        check_specs=check_specs("search_index", corpora),
        code_version="1",
        freshness_policy=FRESHNESS,
    )
    def search_index(work: WorkResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # compared as it is
        """What callers search: the serving index version of the corpus, whole by SQL's own count."""
        with work.of_run.stage(attributes.INDEX_SPAN):
            flipped = flip_build(work.of_run)
            promoted = None if work.of_run.fills else promote(work.of_run)
            report = report_index(work.of_run)
            sweep_index(work.of_run)
        return dg.MaterializeResult(
            metadata=report.metadata | (promoted.metadata if promoted else {}) | (flipped.metadata if flipped else {}),
            data_version=dg.DataVersion(report.data_version),
            check_results=check_results(report),
        )

    return search_index
