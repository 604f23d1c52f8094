"""What a pipeline process keeps between runs: settings, the model registry, clients, the database connection.

Built on first use, after Celery's fork: an event loop, an engine or a socket must not cross it.
"""

from __future__ import annotations

from functools import cache, cached_property

from resources import fail_points
from resources.cache.redis import Scripts, make_async_client
from resources.embedding.client import EmbeddingClient
from resources.embedding.registry import Model, Registry, load_registry
from resources.embedding.servers import build_client, own_endpoints
from resources.orchestration.background_loop import BackgroundLoop
from resources.postgres.database import Database
from resources.settings import Settings
from resources.web.fetcher import Fetcher


class Runtime:
    """Lazily built parts of one process. Not for several threads at once, but for `loop`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._embedding: dict[str, EmbeddingClient] = {}

    @cached_property
    def loop(self) -> BackgroundLoop:
        return BackgroundLoop()

    @cached_property
    def registry(self) -> Registry:
        return load_registry(self.settings.embedding.models_file)

    @cached_property
    def database(self) -> Database:
        return self.new_database()

    def new_database(self) -> Database:
        """Return a connection of its own, for another thread."""
        settings = self.settings
        return Database(settings.require(settings.pipeline.database_url, "CIXML_PIPELINE__DATABASE_URL"))

    @cached_property
    def fetcher(self) -> Fetcher:
        """Belongs to `loop`: first used there."""
        settings = self.settings
        return Fetcher(
            settings.fetch,
            own_endpoints=settings.own_endpoints() | own_endpoints(self.registry),
            scripts=self._scripts,
            processes=settings.pipeline.worker_slots,
        )

    def embedding(self, model: Model) -> EmbeddingClient:
        """Return the client of one model, for use on `loop`; its breaker is shared with every process through Redis."""
        if model.id not in self._embedding:
            self._embedding[model.id], _ = build_client(self.settings, model, self._scripts)
        return self._embedding[model.id]

    @cached_property
    def _scripts(self) -> Scripts:
        return Scripts(make_async_client(self.settings.require(self.settings.redis_url, "REDIS_URL")))


@cache
def runtime() -> Runtime:
    """Return this process's runtime: Dagster builds resources anew for each run, the parts here stay."""
    settings = Settings.load()
    fail_points.watch(settings.fail_points)
    return Runtime(settings)
