"""Pages that send their reader on: `<meta http-equiv="refresh" content="0; url=...">`. Told from the head's text alone.

Read with a few patterns and not with a parser: the page is hostile until it is in the extractor, which can be killed.
"""

from __future__ import annotations

import re
from html import unescape

HEAD_BYTES = 16_384
MAX_SECONDS = 5.0  # a page that waits longer is there to be read
_UNREAD = re.compile(r"<!--.*?(?:-->|\Z)|<(script|noscript|style|template|textarea)\b.*?(?:</\1\b|\Z)", re.I | re.S)
_META = re.compile(r"<meta\b([^>]{0,2000})>", re.I)
_ATTRIBUTE = re.compile(r"""([a-z-]{1,40})\s{0,20}=\s{0,20}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
_REFRESH = re.compile(r"\s*(\d{0,6}(?:\.\d{0,6})?)\s*[;,\s]\s*(?:url\s*=\s*)?(.*)", re.I | re.S)


def refresh_target(body: bytes) -> str | None:
    """Return where a page sends its reader within five seconds, as it is written; None: it stays."""
    head = _UNREAD.sub("", body[:HEAD_BYTES].decode("utf-8", "replace"))
    for meta in _META.finditer(head):
        attributes = {
            match[1].lower(): unescape(match[2] or match[3] or match[4] or "") for match in _ATTRIBUTE.finditer(meta[1])
        }
        if attributes.get("http-equiv", "").strip().lower() == "refresh":
            target = _target(attributes.get("content", ""))
            if target:
                return target
    return None


def _target(content: str) -> str | None:
    match = _REFRESH.fullmatch(content)
    if match is None or (match[1] or "0") == "." or float(match[1] or 0) > MAX_SECONDS:
        return None
    target = match[2].strip()
    if target[:1] in ("'", '"'):
        target = target[1:].partition(target[0])[0]
    return target.strip() or None
