"""A TCP or TLS stream of asyncio in the shape httpcore asks for.

httpcore's own backend goes through anyio; there, asking every pooled connection whether it is still open costs
a third of a fetch. asyncio knows it without a system call.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from httpcore import AsyncNetworkStream, ConnectError, ConnectTimeout, ReadError, ReadTimeout, WriteError, WriteTimeout


class TlsError(ConnectError):
    """The TLS handshake failed. Holds the reason: httpcore's pool drops the cause of what it raises."""

    def __init__(self, reason: ssl.SSLError) -> None:
        super().__init__(str(reason))
        self.reason = reason


async def connect(host: str, port: int, *, timeout_seconds: float, local_address: str | None) -> AsyncNetworkStream:
    """Open a connection to a numeric address. Raises httpcore's ConnectError or ConnectTimeout."""
    try:
        async with asyncio.timeout(timeout_seconds):
            local = None if local_address is None else (local_address, 0)
            reader, writer = await asyncio.open_connection(host, port, local_addr=local)
    except TimeoutError as error:
        raise ConnectTimeout(str(error)) from error
    except OSError as error:
        raise ConnectError(str(error)) from error
    return _Stream(reader, writer)


class _Stream(AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # httpcore's
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise ReadTimeout(str(error)) from error
        except OSError as error:
            raise ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # httpcore's
        if not buffer:
            return
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError as error:
            raise WriteTimeout(str(error)) from error
        except OSError as error:
            raise WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.transport.abort()  # a GET owes the server no farewell, and a TLS one may never be answered
        await asyncio.sleep(0)  # the socket is closed in the loop's next turn

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's
    ) -> AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            await self.aclose()
            raise ConnectTimeout(str(error)) from error
        except ssl.SSLError as error:
            await self.aclose()
            raise TlsError(error) from error
        except OSError as error:
            await self.aclose()
            raise ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # how httpcore asks whether an idle connection has been closed by the server
            return self._reader.at_eof() or self._writer.is_closing()
        if info == "ssl_object":
            return self._writer.get_extra_info("ssl_object")
        return None
