"""From bytes to text: which charset a page is really in. Pure."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from resources.errors import ChunkingError
from resources.media_types import JSON, MARKDOWN, PLAIN

META_BYTES = 4096  # HTML asks for the declaration in the first 1,024; pages with long comments put it later
DETECTION_BYTES = 65_536
MAX_BAD_SHARE = 0.05  # of characters that could not be decoded: above it the text is not worth an index
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NEVER_IN_TEXT = "\x00\x01\x02\x03\x04\x05\x06\x0e\x0f\x10\x11\x12\x13\x14\x15\x16"
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
# What a label means on the web is a superset of what it says (WHATWG Encoding, 4.2).
_ALIASES = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030",
    "x-gbk": "gb18030", "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "shift_jis": "cp932", "shift-jis": "cp932",
    "x-sjis": "cp932", "sjis": "cp932", "big5": "big5hkscs", "x-x-big5": "big5hkscs", "utf8": "utf-8",
    "unicode-1-1-utf-8": "utf-8", "windows-874": "cp874",
}  # fmt: skip
_STATEFUL = frozenset({"iso-2022-jp", "iso-2022-kr", "hz-gb-2312", "hz", "utf-16", "utf-16le", "utf-16be"})


def decode(body: bytes, content_type: str, charset: str | None) -> str:
    """Return a page's text by BOM, UTF-8 that fits, header, meta, then detection: a wrong label does no harm.

    Raises ChunkingError(encoding_failed) for bytes that are no text.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return _checked(body.decode(name, "replace"))
    labels = _labels(body, content_type, charset)
    # UTF-8 first: text in another charset is practically never valid UTF-8; but the stateful ones look like ASCII.
    is_stateful = any(label in _STATEFUL for label in labels)
    candidates = [*labels, "utf-8"] if is_stateful else ["utf-8", *labels]
    for name in candidates:
        text = _strict(body, name)
        if text is not None:
            return _checked(text)
    return _checked(_lenient(body, labels))


def _labels(body: bytes, content_type: str, charset: str | None) -> list[str]:
    found = [charset or ""]
    if content_type not in (PLAIN, MARKDOWN, JSON):
        for pattern in (_META, _XML):
            match = pattern.search(body[:META_BYTES])
            found.append(match[1].decode("ascii") if match else "")
    names = [label.strip().lower() for label in found if label.strip()]
    return list(dict.fromkeys(_ALIASES.get(name, name) for name in names))


def _strict(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name)
    except (UnicodeError, LookupError):  # LookupError: a charset that nobody knows
        return None


def _lenient(body: bytes, labels: list[str]) -> str:
    """Decode with replacements: as detected in a sample, as labelled, as UTF-8; the one with the fewest."""
    utf_8 = body.decode("utf-8", "replace")
    if utf_8.count("\ufffd") <= 3 + len(utf_8) // 2000:
        return utf_8  # UTF-8 with a broken byte here and there, as cut or mixed pages have
    best = from_bytes(body[:DETECTION_BYTES]).best()
    names = [*([best.encoding] if best else []), *labels]
    texts = [text for name in names if (text := _replaced(body, name)) is not None]
    return min([*texts, utf_8], key=lambda text: text.count("\ufffd"))


def _replaced(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name, "replace")
    except (UnicodeError, LookupError):
        return None


def _checked(text: str) -> str:
    bad = text.count("\ufffd") + sum(text.count(character) for character in _NEVER_IN_TEXT)
    if bad > MAX_BAD_SHARE * len(text) and bad > 3:
        raise ChunkingError("encoding_failed", "the page's characters can't be read in any charset")
    return text
