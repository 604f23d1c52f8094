"""What goes over the extractor's socket: frames of a JSON header and a raw body. No pickle, no text in JSON twice.

A connection carries one request. The worker that accepts it says so with one byte, so that a client can tell
a killed worker (end of file after the byte) from an extractor that is not there.
"""

from __future__ import annotations

import struct
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from resources.errors import ChunkingError, CixmlError, ConfigurationError
from resources.settings import Settings
from resources.types import ExtractedDocument, PageLinks, TextChunk

ACCEPTED = b"\x01"
HEAD = struct.Struct("!IQ")  # bytes of the header, bytes of the body
MAX_HEADER_BYTES = 1 << 30
MAX_PATH_BYTES = 100  # sockaddr_un holds 108 on Linux and 104 on macOS


def socket_path(settings: Settings) -> Path:
    """Return where the extractor listens. Raises ConfigurationError for a path no socket can have."""
    path = settings.extractor.socket or settings.home.absolute() / "run" / "extractor.sock"
    if len(bytes(path)) > MAX_PATH_BYTES:
        raise ConfigurationError(
            f"CIXML_EXTRACTOR__SOCKET: {path} is longer than {MAX_PATH_BYTES} bytes, which no unix socket may be: "
            "set it to a short path"
        )
    return path


def frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return head, header and body as one message."""
    encoded = orjson.dumps(header)
    return b"".join((HEAD.pack(len(encoded), len(body)), encoded, body))


def document_answer(document: ExtractedDocument) -> bytes:
    """Return the answer of a page. Chunks go as offsets: their text is in the text layer."""
    chunks = [[chunk.start, chunk.end, chunk.token_count, chunk.heading] for chunk in document.chunks]
    header = {
        "title": document.title,
        "language": document.language,
        "coverage": document.coverage,
        "extractor": document.extractor,
        "published_at": document.published_at,
        "chunks": chunks,
    }
    return frame({"document": header}, document.text.encode())


def links_answer(links: PageLinks) -> bytes:
    return frame({"links": asdict(links)})


def error_answer(error: CixmlError) -> bytes:
    kind = "configuration" if isinstance(error, ConfigurationError) else "chunking"
    return frame({"error": {"kind": kind, **error.as_record()}})


def read_answer(header: dict[str, Any], body: bytes) -> ExtractedDocument:
    """Return the document of an answer, or raise the error it holds."""
    if "error" in header:
        raise _error(header["error"])
    fields = header["document"]
    fields["published_at"] = read_time(fields["published_at"])
    text = body.decode()
    chunks = [
        TextChunk(ordinal=ordinal, text=text[start:end], start=start, end=end, token_count=tokens, heading=heading)
        for ordinal, (start, end, tokens, heading) in enumerate(fields.pop("chunks"))
    ]
    return ExtractedDocument(text=text, chunks=chunks, **fields)


def read_time(text: str | None) -> datetime | None:
    """Return a time as it was before JSON."""
    return None if text is None else datetime.fromisoformat(text)


def read_links(header: dict[str, Any]) -> PageLinks:
    """Return the links of an answer, or raise the error it holds."""
    if "error" in header:
        raise _error(header["error"])
    return PageLinks(**header["links"])


def _error(record: dict[str, Any]) -> CixmlError:
    if record["kind"] == "configuration":
        return ConfigurationError(record["detail"])
    return ChunkingError(record["code"], record["detail"], retryable=record["retryable"])
