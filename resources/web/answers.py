"""What an answer means: its status, its type, when to come again. No network here."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from resources.errors import ScrapingError
from resources.media_types import normal_type, sniffed_type
from resources.web.client import Answer

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_RETRYABLE_4XX = frozenset({408, 425, 429})  # time-out, too early, too many
MAX_RETRY_AFTER_SECONDS = 86_400.0
_TYPE_END = re.compile(r"[\s;,]")  # some send a type twice, or forget the semicolon
_CHARSET = re.compile(r"[\s;]\s{0,20}charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


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
    """Return Location with what is not ASCII escaped, octet by octet: servers that escape nothing know its charset."""
    value = answer.headers.get("location")
    return None if value is None else quote(value, safe=string.printable, encoding="latin-1")


def content_type_of(answer: Answer) -> tuple[str, str | None]:
    """Return the media type in lower case ('' where there is none) and the charset of the header."""
    value = answer.headers.get("content-type", "")
    match = _CHARSET.search(value)
    content_type = _TYPE_END.split(value.strip(), maxsplit=1)[0].lower()
    if "/" not in content_type:
        content_type = ""
    return content_type, match[1].lower() if match else None


def check_content_type(content_type: str) -> str:
    """Return the normal name of a type, '' where it tells nothing.

    Raises ScrapingError(unsupported_type) for a type that has no text layer here.
    """
    normal = normal_type(content_type)
    if normal is None:
        raise ScrapingError("unsupported_type", f"the content type {content_type[:80]!r} is not indexed")
    return normal


def true_content_type(body: bytes, declared: str) -> str:
    """Return what a body is, whatever its server says. Raises ScrapingError(unsupported_type) for binary data."""
    found = sniffed_type(body, declared)
    if found is None:
        raise ScrapingError("unsupported_type", f"the page is binary data, not {declared or 'text'}")
    return found
