"""What an answer means: its status, its type, when to come again. No network here."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from resources.errors import ScrapingError
from resources.web.client import Answer

SUPPORTED_TYPES = frozenset({"text/html", "application/xhtml+xml", "text/plain", "text/markdown", "text/x-markdown"})
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_RETRYABLE_4XX = frozenset({408, 425, 429})  # time-out, too early, too many
MAX_RETRY_AFTER_SECONDS = 86_400.0
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_NO_TYPES = frozenset(
    {"unknown/unknown", "application/unknown", "*/*"}
)  # WHATWG mime sniffing 5: as if there were none
_SIGNATURES = (  # of what is served as text by mistake
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\x7fELF", "application/x-executable"),
)
_SNIFF_BYTES = 1024  # WHATWG mime sniffing reads 1,445; a doctype or a first tag comes sooner
_HTML_START = re.compile(
    rb"\s*(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|h1|div|p)\b", re.I | re.S
)


def check_status(answer: Answer, *, is_conditional: bool) -> None:
    """Raise ScrapingError unless the answer holds a page, or a 304 that was asked for."""
    status = answer.status
    if status in (200, 203, 204) or (status == 304 and is_conditional):
        return
    text = f"the server answered {status}"
    if 400 <= status < 500:
        code = "login_required" if status == 401 else "http_4xx"
        retryable = status in _RETRYABLE_4XX
    else:  # 5xx, and what no GET without a range or a condition may be answered with
        code, retryable = "http_5xx", 500 <= status < 600
    raise ScrapingError(
        code, text, retryable=retryable, http_status=status, retry_after_seconds=retry_after_seconds(answer)
    )


def retry_after_seconds(answer: Answer) -> float | None:
    """Return Retry-After in seconds from now, at most a day; None where it is missing or unreadable."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), MAX_RETRY_AFTER_SECONDS)


def location_of(answer: Answer) -> str | None:
    """Return Location as text: servers that escape nothing send UTF-8."""
    value = answer.headers.get("location")
    return None if value is None else value.encode("latin-1").decode("utf-8", "replace")


def content_type_of(answer: Answer) -> tuple[str, str | None]:
    """Return the media type in lower case ('' where there is none) and the charset of the header."""
    value = answer.headers.get("content-type", "")
    match = _CHARSET.search(value)
    content_type = value.partition(";")[0].strip().lower()
    if content_type in _NO_TYPES or "/" not in content_type:
        content_type = ""
    return content_type, match[1].lower() if match else None


def check_content_type(content_type: str) -> None:
    """Raise ScrapingError(unsupported_type) for a type that has no text layer here."""
    if content_type not in SUPPORTED_TYPES:
        raise ScrapingError("unsupported_type", f"the content type {content_type[:80]!r} is not indexed")


def true_content_type(content_type: str, body: bytes) -> str:
    """Return the type of a body that came with `content_type`, or with none (''): its first bytes tell a lie.

    Raises ScrapingError(unsupported_type) for what has no text layer here.
    """
    start = body[:_SNIFF_BYTES]
    found = next((name for signature, name in _SIGNATURES if start.startswith(signature)), None)
    if found is not None:
        check_content_type(found)
        return found
    return content_type or _sniffed(start)


def _sniffed(start: bytes) -> str:
    start = start.removeprefix(b"\xef\xbb\xbf")
    if _HTML_START.match(start):
        return "text/html"
    if any(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in start):
        raise ScrapingError("unsupported_type", "the page has no content type and looks binary")
    return "text/plain"
