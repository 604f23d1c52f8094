"""One GET over HTTP/1.1: a shared pool of connections above the guarded network. No redirects, no decoding.

httpcore is used directly: httpx adds cookies, redirects, proxies from the environment and content decoding, all of
which would have to be switched off here, and takes no network backend of ours through its public interface.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import cast

import httpcore

from resources.errors import ScrapingError
from resources.settings import FetchSettings
from resources.web.addresses import AddressPolicy
from resources.web.backend import GuardedBackend, Resolver, ThreadResolver, opened_connection
from resources.web.streams import TlsError
from resources.web.urls import ParsedUrl

MAX_CONNECTIONS = 128
MAX_IDLE_CONNECTIONS = 32
KEEPALIVE_SECONDS = 15.0
DRAIN_BYTES = 32_768
DRAIN_SECONDS = 0.5

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status and headers (lower-case names; of repeated ones the last) with a body still on the wire, encoded."""

    status: int
    headers: Mapping[str, str]
    robots_tags: Sequence[str]
    """Every X-Robots-Tag: each may be for another robot."""
    stream: AsyncIterator[bytes]


class GuardedClient:
    """The only way out to hosts that callers name. Close it with `aclose()`."""

    def __init__(self, settings: FetchSettings, policy: AddressPolicy, *, resolve: Resolver | None = None) -> None:
        self._resolver = ThreadResolver() if resolve is None else None
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_ssl_context(),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=GuardedBackend(policy, resolve or cast(Resolver, self._resolver)),
        )
        self._timeouts = {
            "connect": settings.connect_timeout_seconds,
            "read": settings.read_timeout_seconds,
            "write": settings.read_timeout_seconds,
            "pool": settings.total_timeout_seconds,
        }

    async def aclose(self) -> None:
        await self._pool.aclose()
        if self._resolver is not None:
            self._resolver.close()

    @asynccontextmanager
    async def get(self, url: ParsedUrl, headers: Sequence[Header]) -> AsyncIterator[Answer]:
        """Send a GET and yield the answer. Raises ScrapingError, also from reading the body inside the block."""
        with _translated():
            response = await self._send(_request(url, headers, self._timeouts))
            stream = cast(AsyncGenerator[bytes], aiter(cast(AsyncIterable[bytes], response.stream)))
            try:
                try:
                    yield _answer(response, stream)
                except ScrapingError:
                    await _drain(stream)
                    raise
                await _drain(stream)
            finally:
                await stream.aclose()
                await response.aclose()

    async def _send(self, request: httpcore.Request) -> httpcore.Response:
        """Send once, and again when a kept-alive connection was closed in the moment of its reuse."""
        opened_connection.set(False)
        try:
            return await self._pool.handle_async_request(request)
        except (httpcore.NetworkError, httpcore.RemoteProtocolError):
            if opened_connection.get():
                raise
            return await self._pool.handle_async_request(request)


def _answer(response: httpcore.Response, stream: AsyncIterator[bytes]) -> Answer:
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers]
    robots_tags = [value for name, value in headers if name == "x-robots-tag"]
    return Answer(status=response.status, headers=dict(headers), robots_tags=robots_tags, stream=stream)


async def _drain(stream: AsyncIterator[bytes]) -> None:
    """Read what is left of a short body (a 304, a redirect, an error page): its connection can be used again."""
    left_bytes = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for data in stream:
                left_bytes -= len(data)
                if left_bytes < 0:
                    return
    except (TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        return  # the connection is closed instead


def _request(url: ParsedUrl, headers: Sequence[Header], timeouts: Mapping[str, float]) -> httpcore.Request:
    href = url.href
    path_at = href.index("/", len(url.scheme) + 3)
    target = httpcore.URL(
        scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=href[path_at:].encode()
    )
    authority = href[len(url.scheme) + 3 : path_at].encode()
    return httpcore.Request(
        b"GET",
        target,
        headers=[(b"Host", authority), *headers],
        extensions={"timeout": timeouts, "sni_hostname": url.host.removesuffix(".")},
    )


@cache
def _ssl_context() -> ssl.SSLContext:
    """Return the one context of the process: making one costs about 40 ms. Certificates are always verified."""
    return httpcore.default_ssl_context()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn httpcore's errors into ScrapingError with the codes of the API."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise ScrapingError("timeout", "the server did not answer in time", retryable=True) from error
    except httpcore.ConnectError as error:
        raise _connect_error(error) from error
    except httpcore.NetworkError as error:
        raise ScrapingError("connect_failed", "the connection broke", retryable=True) from error
    except (httpcore.RemoteProtocolError, httpcore.LocalProtocolError) as error:
        if _is_cut_short(error):
            text = "the server closed the connection early: the answer is not whole"
            raise ScrapingError("connect_failed", text, retryable=True) from error
        raise ScrapingError("invalid_answer", "the server's answer is no valid HTTP/1.1") from error


def _is_cut_short(error: httpcore.ProtocolError) -> bool:
    """Tell an answer that broke off from one that is wrong. h11 has one type for both, and httpcore adds a text."""
    return "closed connection" in str(error) or "disconnected" in str(error)


def _connect_error(error: httpcore.ConnectError) -> ScrapingError:
    if not isinstance(error, TlsError):
        return ScrapingError("connect_failed", "the server can't be connected to", retryable=True)
    if isinstance(error.reason, ssl.SSLCertVerificationError):
        return ScrapingError("tls_failed", f"the certificate is not valid: {error.reason.verify_message}")
    return ScrapingError("tls_failed", "the TLS handshake failed", retryable=True)
