"""What the head of an HTML page tells machines: to go on to another address (`refresh`), and what `robots` may do.

Read with a few patterns and not with a parser: the page is hostile until it is in the extractor, which can be killed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape

HEAD_BYTES = 65_536
MAX_SECONDS = 5.0  # a page that waits longer is there to be read
_UNREAD = re.compile(r"<!--.*?(?:-->|\Z)|<(script|noscript|style|template|textarea)\b.*?(?:</\1\b|\Z)", re.I | re.S)
_META = re.compile(r"<meta\b([^>]{0,2000})>", re.I)
_ATTRIBUTE = re.compile(r"""([a-z-]{1,40})\s{0,20}=\s{0,20}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
_REFRESH = re.compile(r"\s*(\d{0,6}(?:\.\d{0,6})?)\s*[;,\s]\s*(?:url\s*=\s*)?(.*)", re.I | re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHead:
    """`refresh` is where the page sends its reader within five seconds, as it is written; None: it stays.

    `named` are the pairs of name (in lower case) and content of its other <meta> elements.
    """

    refresh: str | None = None
    named: Sequence[tuple[str, str]] = ()


def read_head(body: bytes) -> PageHead:
    """Return what the first 64 KiB of a page say."""
    refresh: str | None = None
    named: list[tuple[str, str]] = []
    for attributes in _metas(body):
        content = attributes.get("content", "")
        if attributes.get("http-equiv", "").strip().lower() == "refresh":
            refresh = refresh or _target(content)
        elif name := attributes.get("name", "").strip().lower():
            named.append((name, content))
    return PageHead(refresh=refresh, named=named)


def _metas(body: bytes) -> Iterator[dict[str, str]]:
    text = body[:HEAD_BYTES].replace(b"\0", b"").decode("utf-8", "replace")  # without NUL UTF-16 is readable, too
    for meta in _META.finditer(_UNREAD.sub("", text)):
        yield {
            match[1].lower(): unescape(match[2] or match[3] or match[4] or "") for match in _ATTRIBUTE.finditer(meta[1])
        }


def _target(content: str) -> str | None:
    match = _REFRESH.fullmatch(content)
    if match is None or (match[1] or "0") == "." or float(match[1] or 0) > MAX_SECONDS:
        return None
    target = match[2].strip()
    if target[:1] in ("'", '"'):
        target = target[1:].partition(target[0])[0]
    return target.strip() or None
