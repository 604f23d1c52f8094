"""Bodies: read in bounded pieces, decoded by us, so that no bomb is unpacked before a limit is looked at."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

from resources.errors import ScrapingError
from resources.web.client import Answer

PIECE_BYTES = 65_536  # 200 MiB of zeros are 204 kB of gzip: a piece is the most that is unpacked at once
MAX_RATIO = 200  # decoded / encoded; honest pages stay below 30
RATIO_FROM_BYTES = 1 << 20  # ... and are small where they do not
MAX_PIECES = 200_000  # 20 MiB in chunks of a byte would take two minutes of CPU
MAX_MEMBERS = 4096  # gzip members; honest writers make them of 64 KiB
_GZIP = 31  # zlib's window bits for a gzip header


async def read_body(answer: Answer, *, max_bytes: int, truncate: bool = False) -> bytes:
    """Read and decode a body; with `truncate` only its first `max_bytes`. Encoded it may be no larger either.

    Raises ScrapingError: too_large, unsupported_type, or connect_failed when it is cut short.
    """
    length = answer.headers.get("content-length", "")
    if not truncate and length.isascii() and length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    async for piece in _decoded(answer, max_bytes=max_bytes):
        body += piece
        if len(body) > max_bytes:
            if truncate:
                return bytes(body[:max_bytes])
            raise _too_large(max_bytes)
    return bytes(body)


def _decoded(answer: Answer, *, max_bytes: int) -> AsyncIterator[bytes]:
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return _counted(answer)
    if encoding in ("gzip", "x-gzip"):
        return _gunzipped(answer, max_bytes=max_bytes)
    raise ScrapingError("unsupported_type", f"the content encoding {encoding[:40]!r} was not asked for: only gzip is")


async def _counted(answer: Answer) -> AsyncIterator[bytes]:
    pieces = 0
    async for data in answer.stream:
        pieces += 1
        if pieces > MAX_PIECES:
            raise ScrapingError("too_large", f"the body comes in more than {MAX_PIECES} pieces")
        yield data


async def _gunzipped(answer: Answer, *, max_bytes: int) -> AsyncIterator[bytes]:
    unpacker = _Gunzip()
    bytes_out = 0
    async for data in _counted(answer):
        for piece in unpacker.feed(data):
            bytes_out += len(piece)
            if bytes_out > max(RATIO_FROM_BYTES, MAX_RATIO * unpacker.bytes_in):
                raise ScrapingError("too_large", f"the body unpacks to more than {MAX_RATIO} times its size")
            yield piece
        if unpacker.bytes_in > max_bytes or unpacker.members > MAX_MEMBERS:  # of nothing, or of padding
            raise _too_large(max_bytes)
    if unpacker.is_cut_short:
        raise ScrapingError("connect_failed", "the gzip body ends early", retryable=True)


class _Gunzip:
    """gzip, also of several members, in pieces."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self.bytes_in = 0
        self.members = 1

    @property
    def is_cut_short(self) -> bool:
        return self.bytes_in > 0 and not self._member.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.bytes_in += len(data)
        while data:
            if self._member.eof:
                if not data.startswith(b"\x1f"):
                    return  # bytes after the last member are padding
                self._member = zlib.decompressobj(_GZIP)
                self.members += 1
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise ScrapingError("unsupported_type", "the body says it is gzip and is not") from error
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            yield piece


def _too_large(max_bytes: int) -> ScrapingError:
    return ScrapingError("too_large", f"the page is larger than {max_bytes} bytes (CIXML_FETCH__MAX_BODY_BYTES)")
