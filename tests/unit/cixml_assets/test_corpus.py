"""The assets as functions: what they hand to their IO managers, with resources that are small and in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from cixml_assets.corpus import (
    RefreshConfig,
    chunks,
    corpora,
    embeddings_of,
    index_comparison_after,
    raw_pages,
    search_index_after,
)
from cixml_assets.extracting import ExtractorResource
from resources.embedding.registry import Model, load_registry
from resources.orchestration.embedding import EmbeddingResource
from resources.orchestration.fetching import FetchResource
from resources.orchestration.work import WorkResource
from resources.settings import EmbeddingSettings


class FakeWork(WorkResource):
    """Work with one lease, or none."""

    has_batch: bool = True

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Open nothing."""

    @property
    def of_run(self) -> Any:
        lease = "lease" if self.has_batch else None
        return SimpleNamespace(ingest=lambda *, refresh_all: lease, of_model=lambda _: ("lease", "index"))


class FakeFetch(FetchResource):
    def stream(self, lease: Any, reader: Any) -> Any:
        assert reader.__name__ == "links"
        return ["fetched", lease]


class FakeExtractor(ExtractorResource):
    def stream(self, lease: Any, index: Any, pages: Any) -> Any:
        return [f"chunks of {page}" for page in pages]


class FakeEmbedding(EmbeddingResource):
    def stream(self, chunks: Any, model: Model) -> Any:
        return [f"{model.id} of {chunk}" for chunk in chunks]


class MemoryIOManager(dg.IOManager):
    """Keeps streams by asset and partition."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], Any] = {}

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        self.stored[(context.asset_key.to_user_string(), context.partition_key)] = list(obj)

    def load_input(self, context: dg.InputContext) -> Any:
        return self.stored[(context.asset_key.to_user_string(), context.partition_key)]


@pytest.fixture(scope="module")
def model() -> Model:
    return load_registry(EmbeddingSettings().models_file).get("all-MiniLM-L6-v2")


def test_raw_pages_streams_the_fetches_of_its_batch() -> None:
    context = dg.build_asset_context(partition_key="docs-1")
    result = raw_pages(context, config=RefreshConfig(), work=FakeWork(), fetch=FakeFetch(), extractor=FakeExtractor())
    assert result.value == ["fetched", "lease"]


def test_raw_pages_without_anything_due_fetches_nothing() -> None:
    context = dg.build_asset_context(partition_key="docs-1")
    work, fetch = FakeWork(has_batch=False), FakeFetch()
    result = raw_pages(context, config=RefreshConfig(), work=work, fetch=fetch, extractor=FakeExtractor())
    assert result.value is None


def test_a_partition_flows_from_pages_to_vectors_through_any_io_manager(model: Model) -> None:
    memory = MemoryIOManager()
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("corpora", ["docs-1"])
    embeddings = embeddings_of(model)
    result = dg.materialize(
        [raw_pages, chunks, embeddings],
        instance=instance,
        partition_key="docs-1",
        resources={
            "work": FakeWork(),
            "fetch": FakeFetch(),
            "extractor": FakeExtractor(),
            "embedding": FakeEmbedding(),
            "page_io_manager": memory,
            "chunk_io_manager": memory,
            "pgvector_io_manager": memory,
        },
    )
    assert result.success
    assert memory.stored[(f"embeddings/{model.slug}", "docs-1")] == [
        f"{model.id} of chunks of fetched",
        f"{model.id} of chunks of lease",
    ]


def test_all_assets_share_the_corpus_partitions(model: Model) -> None:
    for asset in (
        raw_pages,
        chunks,
        embeddings_of(model),
        index_comparison_after([model]),
        search_index_after([model]),
    ):
        assert asset.partitions_def == corpora


def test_the_index_depends_on_the_vectors_of_every_model(model: Model) -> None:
    index = search_index_after([model])
    assert dg.AssetKey(["embeddings", model.slug]) in index.asset_deps[dg.AssetKey("search_index")]


def test_what_comes_in_and_what_is_served_have_to_be_fresh() -> None:
    assets = [raw_pages, chunks, search_index_after([])]
    fresh = {spec.key.to_user_string() for asset in assets for spec in asset.specs if spec.freshness_policy}
    assert fresh == {"raw_pages", "search_index"}
