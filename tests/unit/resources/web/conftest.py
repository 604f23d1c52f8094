"""A web server on loopback and fetchers that may reach it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

from resources.settings import PROJECT_ROOT, FetchSettings
from resources.web.backend import Resolver
from resources.web.fetcher import Fetcher
from tests.fakes.web_server import WebServer

MakeFetcher = Callable[..., Fetcher]


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as started:
        yield started


@pytest.fixture
async def make_fetcher(server: WebServer) -> AsyncIterator[MakeFetcher]:
    """Return a maker of fetchers that may reach the server and nothing else inside; they are closed at the end."""
    made: list[Fetcher] = []

    def make(
        *,
        own_endpoints: frozenset[tuple[str, int]] = frozenset(),
        names: dict[str, Sequence[str]] | None = None,
        resolve: Resolver | None = None,
        **settings: Any,
    ) -> Fetcher:
        async def look_up(host: str) -> Sequence[str]:
            if host not in (names or {}):
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            return (names or {})[host]

        allowed = settings.pop("allow_networks", [f"127.0.0.1/32:{server.port}"])
        fetcher = Fetcher(
            FetchSettings(allow_networks=allowed, **settings),
            own_endpoints=own_endpoints,
            resolve=resolve or (look_up if names is not None else None),
        )
        made.append(fetcher)
        return fetcher

    yield make
    for fetcher in made:
        await fetcher.aclose()


@pytest.fixture
def fetcher(make_fetcher: MakeFetcher) -> Fetcher:
    return make_fetcher()


@pytest.fixture
async def tls_port() -> AsyncIterator[int]:
    """Return the port of a TLS server whose certificate signs itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PROJECT_ROOT / "tests" / "data" / "tls" / "self_signed.pem")
    started = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    yield started.sockets[0].getsockname()[1]
    started.close()
