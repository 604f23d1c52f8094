"""Looks after embedding servers that are away: tries them, and lets the pages that wait for one go on when it is back.

A part of lifeline, on a thread and a connection of its own. While every breaker is closed a look is one question to
Redis a model. Without it a page waits out its pause, up to two minutes: nobody tells it that the server is back.
"""

from __future__ import annotations

import logging

from resources.cache.redis import Scripts, make_async_client
from resources.embedding.breaker import CircuitBreaker
from resources.embedding.breaker_local import BreakerState
from resources.embedding.client import PROBE_TEXT, EmbeddingClient
from resources.embedding.registry import Model, load_registry
from resources.embedding.servers import build_client
from resources.errors import BreakerOpenError, EmbeddingRejectedError, EmbeddingUnavailableError
from resources.orchestration.aside import Aside
from resources.orchestration.background_loop import BackgroundLoop
from resources.postgres import claims, items
from resources.postgres.database import Database
from resources.settings import Settings

LIMITS = "-c statement_timeout=60s -c lock_timeout=1s"
WAITS_FOR_SERVER = (BreakerOpenError.code, EmbeddingUnavailableError.code)
logger = logging.getLogger("cixml.servers")


class ServerWatch:
    """`step_aside` does a look on the thread, unless one is under way."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(
            settings.require(settings.pipeline.database_url, "CIXML_PIPELINE__DATABASE_URL"), options=LIMITS
        )
        self._loop = BackgroundLoop()
        self._redis = make_async_client(settings.require(settings.redis_url, "REDIS_URL"))
        models = load_registry(settings.embedding.models_file).enabled
        self._servers = {model: build_client(settings, model, Scripts(self._redis)) for model in models}
        self._away: set[Model] = set()
        self._aside = Aside("cixml-servers")

    def step_aside(self) -> None:
        """Look, unless that is under way. Raises what the look before raised."""
        self._aside.do(self.step)

    def step(self) -> None:
        """Try each server that is away; wake what waits for one that is not any more."""
        for model, (client, breaker) in self._servers.items():
            if self._is_away(client, breaker):
                self._away.add(model)
            elif model in self._away:
                with self._database.transaction() as connection:
                    claims.lock_claims(connection)
                    woken = items.wake(connection, fingerprint=model.fingerprint, reasons=WAITS_FOR_SERVER)
                self._away.remove(model)
                logger.warning("the server of %s is back: %s pages that waited for it go on", model.id, woken)

    def close(self) -> None:
        """End the thread and its connections."""
        self._aside.close()
        for client, _ in self._servers.values():
            self._loop.run(client.aclose())
        self._loop.run(self._redis.aclose())
        self._database.close()

    def _is_away(self, client: EmbeddingClient, breaker: CircuitBreaker) -> bool:
        """Return whether the breaker is not closed, after a try where it allows one: two in a row may close it."""
        if self._loop.run(breaker.state()).state is BreakerState.CLOSED:
            return False
        try:
            self._loop.run(client.embed([PROBE_TEXT], operation="read"))
        except (EmbeddingUnavailableError, EmbeddingRejectedError):
            return True
        return self._loop.run(breaker.state()).state is not BreakerState.CLOSED
