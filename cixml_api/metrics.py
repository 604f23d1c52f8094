"""GET /metrics: an app of its own for a loopback port, beside the API in one process."""

from __future__ import annotations

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cixml_api.dependencies import Services
from cixml_api.state import state_of
from resources.telemetry.exposition import build_registry, exposition
from resources.telemetry.state_gauges import StateCollector


def create_metrics_app(services: Services) -> Starlette:
    """Return the app that answers GET /metrics. The files of other processes are read beside the loop."""
    reader = state_of(services)
    turn = asyncio.Lock()

    async def read_metrics(_: Request) -> Response:
        async with turn:
            registry = build_registry(StateCollector(await reader.read()))
            text = await asyncio.to_thread(exposition, registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", read_metrics)])
