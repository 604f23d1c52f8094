"""Which types have a text layer, and what a body really is: servers call PDF a stream of octets and HTML plain text."""

from __future__ import annotations

import re

HTML = "text/html"
PLAIN = "text/plain"
MARKDOWN = "text/markdown"
JSON = "application/json"
XML = "application/xml"
PDF = "application/pdf"

_ALIASES = {
    "application/xhtml+xml": HTML, "text/x-markdown": MARKDOWN, "text/json": JSON, "text/xml": XML,
    "application/x-pdf": PDF, "text/csv": PLAIN, "text/tab-separated-values": PLAIN, "text/x-rst": PLAIN,
}  # fmt: skip
_TELL_NOTHING = frozenset(
    {"", "*/*", "unknown/unknown", "application/unknown", "application/octet-stream", "binary/octet-stream",
     "application/x-download", "application/force-download"}
)  # fmt: skip
_PICTURES = frozenset({"image/svg+xml"})
_SNIFF_BYTES = 1024  # WHATWG mime sniffing reads 1,445; a doctype or a first tag comes sooner
_LEAD = r"\s*(?:<\?xml(?:(?!\?>).)*\?>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*"
_HTML_PAGE = re.compile(rf"{_LEAD}<(?:!doctype\s+html|html)\b".encode(), re.IGNORECASE | re.DOTALL)
_HTML_PIECE = re.compile(rf"{_LEAD}<(?:head|body|title|meta|h1|div|p)\b".encode(), re.IGNORECASE | re.DOTALL)
_XML_START = re.compile(rb"\s*<(?:\?xml\s|rss\b|feed\b)")
_SVG = re.compile(rf"{_LEAD}(?:<!doctype\s+svg[^>]*>\s*)?<(?:svg:)?svg\b".encode(), re.IGNORECASE | re.DOTALL)
_BINARY = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x7fELF", b"OggS",
    b"ID3\x03", b"ID3\x04", b"\xd0\xcf\x11\xe0", b"Rar!\x1a", b"7z\xbc\xaf\x27\x1c", b"wOF2", b"wOFF",
    b"\xfd7zXZ\x00", b"BZh91AY&SY", b"\x28\xb5\x2f\xfd", b"MZ\x90\x00", b"\x00asm", b"\xca\xfe\xba\xbe",
    b"SQLite format 3\x00", b"\x00\x00\x01\x00", b"\x1a\x45\xdf\xa3", b"fLaC", b"OTTO\x00", b"\x00\x01\x00\x00",
    b"II*\x00", b"MM\x00*", b"{\\rtf", b"%!PS-",
)  # fmt: skip
"""How pictures, archives, sounds, programs, fonts and print files begin."""
_BINARY_FROM = re.compile(rb"RIFF.{4}(?:WEBP|WAVE|AVI )|BM.{4}\0{4}|\0.{3}ftyp", re.DOTALL)
_UTF_16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def normal_type(declared: str) -> str | None:
    """Return the type that a declared one stands for, '' where it tells nothing, None where it has no text layer."""
    declared = declared.strip().lower()
    if declared in _TELL_NOTHING:
        return ""
    if declared in _PICTURES:
        return None
    if declared in (HTML, PLAIN, MARKDOWN, JSON, XML, PDF):
        return declared
    if declared.endswith(("+json", "+xml")) and declared not in _ALIASES:
        return JSON if declared.endswith("+json") else XML
    return _ALIASES.get(declared)


def sniffed_type(body: bytes, declared: str) -> str | None:
    """Return what a body of a normal type (or '') really is; None for binary data and pictures."""
    start = body[:_SNIFF_BYTES].removeprefix(b"\xef\xbb\xbf")
    if b"%PDF-" in start:
        return PDF
    if start.startswith(_BINARY) or _BINARY_FROM.match(start):
        return None
    if declared == PDF:
        return HTML if _HTML_PAGE.match(start) else None  # an error page in the place of the file
    if declared != MARKDOWN and _HTML_PAGE.match(start):
        return HTML
    if declared in (XML, "") and _SVG.match(start):
        return None
    return _untold_type(start, body) if declared == "" else _corrected_type(start, body, declared)


def _untold_type(start: bytes, body: bytes) -> str | None:
    if not start.startswith(_UTF_16_OR_32) and any(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in start):
        return None
    if _HTML_PIECE.match(start):
        return HTML
    if _XML_START.match(start):
        return XML
    return JSON if _looks_like_json(body) else PLAIN


def _corrected_type(start: bytes, body: bytes, declared: str) -> str:
    if declared in (HTML, PLAIN) and _XML_START.match(start):
        return XML
    if declared == HTML and b"<" not in start and _looks_like_json(body):
        return JSON
    return declared


def _looks_like_json(body: bytes) -> bool:
    ends = body[:_SNIFF_BYTES].strip()[:2], body[-_SNIFF_BYTES:].strip()[-1:]
    return (ends[0][:1], ends[1]) in ((b"{", b"}"), (b"[", b"]")) and not ends[0].startswith(b"[#")
