"""Serves the API, and /metrics on a port of its own: `python -m cixml_api`."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from cixml_api.app import create_app
from cixml_api.metrics import create_metrics_app
from resources.settings import Settings
from resources.telemetry import process, tracing

GRACE_SECONDS = 10


class _Server(uvicorn.Server):
    """One of two servers of the process: `serve` below handles the signals for both."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight have GRACE_SECONDS to end."""
    app = create_app(settings)
    gc.collect()
    gc.freeze()  # a full collection over the imports would hold every request for a tenth of a second
    servers = (
        _server(app, settings.api.host, settings.api.port, lifespan="on", trusted_proxies=settings.api.trusted_proxies),
        _server(
            create_metrics_app(app.state.services), settings.api.metrics_host, settings.api.metrics_port, lifespan="off"
        ),
    )

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.gather(*(server.serve() for server in servers))


def _server(
    app: ASGIApp, host: str, port: int, *, lifespan: Literal["on", "off"], trusted_proxies: list[str] | None = None
) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            lifespan=lifespan,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=trusted_proxies or [],
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def main() -> None:
    settings = Settings.load()
    process.begin(settings, "cixml-api")
    with asyncio.Runner(loop_factory=uvicorn.Config("", log_config=None).get_loop_factory()) as runner:
        runner.run(serve(settings))
    tracing.flush()


if __name__ == "__main__":
    main()
