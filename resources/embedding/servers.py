"""Which server embeds by a model, and the client for it: what the API and the pipeline make the same way."""

from __future__ import annotations

from resources.embedding.breaker import CircuitBreaker, ScriptRunner, breaker_limits
from resources.embedding.client import EmbeddingClient
from resources.embedding.registry import Model, Registry
from resources.settings import Settings, endpoints


def base_url_of(settings: Settings, model: Model) -> str:
    """Return the address of a model's server: its own, else the deployment's. Raises ConfigurationError."""
    return model.base_url or settings.require(settings.embedding_api_base_url, "EMBEDDING_API_BASE_URL")


def build_client(
    settings: Settings, model: Model, scripts: ScriptRunner | None
) -> tuple[EmbeddingClient, CircuitBreaker]:
    """Return a model's client and its breaker, whose state is shared through Redis where `scripts` are given."""
    base_url = base_url_of(settings, model)
    key = settings.embedding_api_key
    breaker = CircuitBreaker(scripts, base_url=base_url, model_id=model.id, limits=breaker_limits(settings.embedding))
    client = EmbeddingClient(
        base_url=base_url,
        api_key=key.get_secret_value() if key else None,
        model=model,
        breaker=breaker,
        timeout_seconds=settings.embedding.timeout_seconds,
        query_timeout_seconds=settings.embedding.query_timeout_seconds,
        concurrency=settings.embedding.concurrency,
    )
    return client, breaker


def own_endpoints(registry: Registry) -> frozenset[tuple[str, int]]:
    """Return (host, port) of every server that a model names: never fetched, like the product's other servers."""
    return endpoints(model.base_url for model in registry.models if model.base_url)
