"""A real fake server, a model to go with it, and a client with a breaker of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from resources.embedding.breaker import CircuitBreaker
from resources.embedding.breaker_local import BreakerLimits
from resources.embedding.client import EmbeddingClient
from resources.embedding.registry import Model
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.valkey import ValkeyServer, running_valkey

DIMENSION = 16


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer(dimension=DIMENSION) as running:
        yield running


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as running:
        yield running


@pytest.fixture
def model() -> Model:
    return Model(
        id="all-MiniLM-L6-v2",
        revision="test",
        dimension=DIMENSION,
        max_tokens=256,
        chunk_max_tokens=256,
        chunk_overlap_tokens=32,
        query_prefix="query: ",
        document_prefix="passage: ",
        tokenizer_path=Path("/none"),
        tokenizer_sha256="0" * 64,
    )


@pytest.fixture
async def make_client(server: EmbeddingServer, model: Model) -> AsyncIterator[Callable[..., EmbeddingClient]]:
    """Return a maker of clients; `limits` are the breaker's, everything else goes to the client."""
    made: list[EmbeddingClient] = []

    def make(*, limits: BreakerLimits | None = None, **options: object) -> EmbeddingClient:
        breaker = CircuitBreaker(
            None, base_url=server.base_url, model_id=model.id, limits=limits or BreakerLimits(reset_seconds=0.2)
        )
        arguments: dict[str, object] = {
            "base_url": server.base_url,
            "api_key": "secret",
            "model": model,
            "breaker": breaker,
        }
        client = EmbeddingClient(**(arguments | options))  # type: ignore[arg-type]
        made.append(client)
        return client

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
def client(make_client: Callable[..., EmbeddingClient]) -> EmbeddingClient:
    return make_client()
