"""The client of the extractor process: one short connection per page, so that the free worker takes the next page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from cixml_assets.extractor_protocol import ACCEPTED, HEAD, frame, read_answer, read_links
from resources.errors import ChunkingError, ExtractorUnavailableError
from resources.telemetry import attributes, tracing
from resources.types import Chunking, ExtractedDocument, PageLinks, TextLayer

MAX_CONNECTIONS = 8  # at once; pages wait here rather than in the socket's backlog
ANSWER_TIMEOUT_SECONDS = 300.0  # waiting for a free worker included; the worker's own limits end a page long before


class ExtractorClient:
    """Asks the extractor behind a unix socket. Connections are short: `aclose()` only ends new requests."""

    def __init__(self, socket_path: Path, *, connections: int = MAX_CONNECTIONS) -> None:
        self._path = socket_path
        self._slots = asyncio.Semaphore(connections)
        self._closed = False

    async def extract(
        self,
        *,
        body: bytes,
        content_type: str,
        charset: str | None,
        url: str | None,
        tokenizer_path: Path,
        chunking: Chunking,
        max_chunks: int,
        exclusions: Mapping[str, Sequence[str]],
    ) -> ExtractedDocument:
        """Return a page's text layer and chunks.

        Raises ChunkingError (a retryable `extraction_failed` when the page killed its worker),
        ConfigurationError (no such tokenizer) or ExtractorUnavailableError.
        """
        request = {
            "operation": "extract",
            "content_type": content_type,
            "charset": charset,
            "url": url,
            "exclusions": exclusions,
        }
        header, text = await self._ask(request | _cutting(tokenizer_path, chunking, max_chunks), body)
        return read_answer(header, text)

    async def cut(
        self, layer: TextLayer, *, tokenizer_path: Path, chunking: Chunking, max_chunks: int
    ) -> ExtractedDocument:
        """Return a text layer, as it is, with its chunks. Raises as `extract` does."""
        facts = asdict(layer)
        text = facts.pop("text")
        request = {"operation": "cut", "layer": facts, **_cutting(tokenizer_path, chunking, max_chunks)}
        header, answered = await self._ask(request, text.encode())
        return read_answer(header, answered)

    async def links(self, *, kind: str, body: bytes, content_type: str, charset: str | None, url: str) -> PageLinks:
        """Return what a page or a sitemap (`kind`) names. Raises as `extract` does, without ConfigurationError."""
        request = {"operation": "links", "kind": kind, "content_type": content_type, "charset": charset, "url": url}
        header, _ = await self._ask(request, body)
        return read_links(header)

    async def ping(self) -> None:
        """Return when a worker answers. Raises ExtractorUnavailableError."""
        try:
            await self._ask({"operation": "ping"}, b"")
        except ChunkingError as error:
            raise ExtractorUnavailableError() from error

    async def aclose(self) -> None:
        self._closed = True

    async def _ask(self, request: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        if self._closed:
            raise ExtractorUnavailableError("the client of the extractor is closed")
        try:
            async with self._slots, asyncio.timeout(ANSWER_TIMEOUT_SECONDS), self._connection() as (reader, writer):
                return await _exchange(reader, writer, frame(request, body))
        except TimeoutError as error:
            raise ExtractorUnavailableError(f"the extractor gave no answer in {ANSWER_TIMEOUT_SECONDS:g} s") from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect and wait until a worker takes the connection."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise ExtractorUnavailableError(f"the extractor does not listen at {self._path}") from error
        try:
            if await _read_or_nothing(reader, len(ACCEPTED)) != ACCEPTED:
                raise ExtractorUnavailableError("the extractor is going away")
            tracing.event(attributes.TAKEN_EVENT)
            yield reader, writer
        finally:
            writer.close()


def _cutting(tokenizer_path: Path, chunking: Chunking, max_chunks: int) -> dict[str, Any]:
    return {
        "tokenizer": str(tokenizer_path),
        "strategy": chunking.strategy,
        "max_tokens": chunking.max_tokens,
        "overlap_tokens": chunking.overlap_tokens,
        "max_chunks": max_chunks,
    }


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes
) -> tuple[dict[str, Any], bytes]:
    try:
        writer.write(message)
        await writer.drain()
        header_bytes, body_bytes = HEAD.unpack(await reader.readexactly(HEAD.size))
        return orjson.loads(await reader.readexactly(header_bytes)), await reader.readexactly(body_bytes)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        text = "the page took more time or memory than extraction may use, or broke the extractor"
        raise ChunkingError("extraction_failed", text, retryable=True) from error


async def _read_or_nothing(reader: asyncio.StreamReader, count: int) -> bytes:
    try:
        return await reader.readexactly(count)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
