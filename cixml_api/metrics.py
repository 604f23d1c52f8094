"""GET /metrics: an app of its own for a loopback port, beside the API in one process."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cixml_api.dependencies import Services
from resources.errors import DatabaseUnavailableError
from resources.postgres.health import queue_numbers
from resources.postgres.pool import connected
from resources.telemetry.metrics import StateCollector, build_registry, exposition


class _Snapshot:
    """What the gauges show: read before each scrape, and what was known last while Postgres is gone."""

    def __init__(self) -> None:
        self.breakers: dict[str, str] = {}
        self.queue: dict[str, tuple[int, float]] = {}

    async def refresh(self, services: Services) -> None:
        for breaker in services.breakers:
            self.breakers[breaker.model_id] = (await breaker.state()).state.value
        try:
            async with connected(services.pool) as connection:
                numbers = await queue_numbers(connection)
        except DatabaseUnavailableError:
            return
        self.queue["scraping"] = (numbers.ready + numbers.waiting, numbers.oldest_seconds)

    def breaker_states(self) -> Mapping[str, str]:
        return self.breakers

    def queue_depths(self) -> Mapping[str, tuple[int, float]]:
        return self.queue


def create_metrics_app(services: Services) -> Starlette:
    """Return the app that answers GET /metrics."""
    snapshot = _Snapshot()
    registry = build_registry(StateCollector(breakers=snapshot.breaker_states, queue=snapshot.queue_depths))

    async def read_metrics(_: Request) -> Response:
        await snapshot.refresh(services)
        return Response(exposition(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", read_metrics)])
