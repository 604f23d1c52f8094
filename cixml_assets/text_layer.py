"""What text and titles may hold, whatever format they come from. Pure."""

from __future__ import annotations

import re
import unicodedata

MAX_TITLE_CHARACTERS = 300
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Drop NUL and control characters, replace lone surrogates, fold line ends, compose (NFC): what Postgres takes."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _SURROGATE.sub("\ufffd", _NOT_TEXT.sub("", text))
    return unicodedata.normalize("NFC", text)


def clean_title(title: str) -> str | None:
    """Return a title in one line of bounded length, None where nothing is left."""
    return clean_text(" ".join(title.split()))[:MAX_TITLE_CHARACTERS] or None
