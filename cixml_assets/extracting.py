"""The Dagster resource that sends pages to the extractor process, as many at once as it has workers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import dagster as dg

from cixml_assets.extractor_client import ExtractorClient
from resources.errors import ChunkingError, ExtractorUnavailableError
from resources.orchestration.batch_trace import CHUNK, fail_page
from resources.orchestration.lease import Lease
from resources.orchestration.runtime import runtime
from resources.orchestration.streams import ChunkOutcome, ChunkStream, PageToChunk
from resources.postgres.batches import IndexVersion
from resources.postgres.chunks import ChunkedVersion
from resources.postgres.pages import VersionBody
from resources.telemetry import tracing
from resources.types import ExtractedDocument, PageLinks

EXTRACTION_TRIES = 2
"""A worker killed by a page may have been killed by its neighbour's memory: the page gets one more try."""


class ExtractorResource(dg.ConfigurableResource[Any]):
    """Turns bytes into text and chunks. A page's error is its own: it never fails its batch."""

    def stream(self, lease: Lease, index: IndexVersion, pages: Iterable[PageToChunk]) -> ChunkStream:
        """Return the outcome of each page, as it is ready."""
        stream = ChunkStream(lease=lease, index=index, outcomes=())
        stream.outcomes = _outcomes(stream, pages)
        return stream

    async def links(self, *, kind: str, body: bytes, content_type: str, charset: str | None, url: str) -> PageLinks:
        """Return what a page or a sitemap names."""
        return await _client().links(kind=kind, body=body, content_type=content_type, charset=charset, url=url)


def _outcomes(stream: ChunkStream, pages: Iterable[PageToChunk]) -> Iterator[ChunkOutcome]:
    parts = runtime()
    width = (parts.settings.extractor.processes or os.cpu_count() or 1) + 1
    source = (page for page in pages if stream.interruption is None)
    results = parts.loop.map(
        source,
        lambda page: _traced(stream, page),
        width=width,
        wanted=lambda page: stream.lease.wants(page.version.item_id),
    )
    for result in results:
        if isinstance(result, ExtractorUnavailableError):
            stream.interruption = result  # what is left waits: the extractor comes back
        else:
            yield result


async def _traced(stream: ChunkStream, page: PageToChunk) -> ChunkOutcome | ExtractorUnavailableError:
    with stream.lease.trace.page(page.version.item_id, CHUNK) as span:
        result = await _outcome(stream.index, page)
        error = result if isinstance(result, ExtractorUnavailableError) else result.error
        if isinstance(error, ChunkingError):
            fail_page(span, CHUNK, error.code)
        elif error is not None:
            tracing.fail(span, error.code)
    return result


async def _outcome(index: IndexVersion, page: PageToChunk) -> ChunkOutcome | ExtractorUnavailableError:
    try:
        document = await _extract(index, page)
    except ChunkingError as error:
        return ChunkOutcome(version=page.version, error=error)
    except ExtractorUnavailableError as error:
        return error
    return ChunkOutcome(version=page.version, chunked=ChunkedVersion(version=page.version, document=document))


async def _extract(index: IndexVersion, page: PageToChunk) -> ExtractedDocument:
    for attempt in range(EXTRACTION_TRIES):
        try:
            document = await _ask(index, page.body)
        except ChunkingError as error:
            if not error.retryable or attempt + 1 == EXTRACTION_TRIES:
                raise
            continue
        if not document.chunks:
            raise ChunkingError("empty_text", "The page holds no text of its own.")
        return document
    raise AssertionError("the last try returns or raises")


async def _ask(index: IndexVersion, body: VersionBody) -> ExtractedDocument:
    """Have bytes read, or a text layer that is frozen cut as it stands, whatever would be read of its bytes today."""
    tokenizer_path = runtime().registry.get(index.model).tokenizer_path
    max_chunks = runtime().settings.chunking.max_chunks_per_document
    if layer := body.layer:
        return await _client().cut(
            layer, tokenizer_path=tokenizer_path, chunking=index.as_chunking, max_chunks=max_chunks
        )
    return await _client().extract(
        body=body.body or b"",
        content_type=body.content_type,
        charset=body.charset,
        url=body.final_url,
        tokenizer_path=tokenizer_path,
        chunking=index.as_chunking,
        max_chunks=max_chunks,
        exclusions=body.exclusions,
    )


@cache
def _client() -> ExtractorClient:
    return ExtractorClient(runtime().settings.extractor_socket)
