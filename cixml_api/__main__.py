"""Serves the API, and /metrics on a port of its own: `python -m cixml_api`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from cixml_api.app import create_app
from cixml_api.metrics import create_metrics_app
from resources.settings import Settings
from resources.telemetry.logs import configure_logging

GRACE_SECONDS = 10


class _Beside(uvicorn.Server):
    """A second server of one process: the first one handles the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Serve until a signal; requests in flight have GRACE_SECONDS to end."""
    app = create_app(settings)
    api = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.api.host,
            port=settings.api.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    beside = _Beside(
        uvicorn.Config(
            create_metrics_app(app.state.services),
            host=settings.api.metrics_host,
            port=settings.api.metrics_port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
        )
    )
    metrics = asyncio.create_task(beside.serve())
    try:
        await api.serve()
    finally:
        beside.should_exit = True
        await metrics


def main() -> None:
    settings = Settings.load()
    secrets = [settings.api.key_pepper, settings.api.database_url, settings.redis_url, settings.embedding_api_key]
    known = [secret.get_secret_value() for secret in secrets if secret]
    configure_logging(settings.log_level, json=not sys.stderr.isatty(), secrets=known)
    with asyncio.Runner(loop_factory=uvicorn.Config(app="", loop="auto").get_loop_factory()) as runner:
        runner.run(serve(settings))


if __name__ == "__main__":
    main()
