"""What every reader of a format returns, and what text may hold. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MAX_TITLE_CHARACTERS = 300
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The text layer of a page. `coverage` is the kept share of the page's own paragraphs, 0 to 1."""

    text: str
    title: str | None
    language: str | None
    coverage: float
    extractor: str


def clean_text(text: str) -> str:
    """Drop NUL and control characters, replace lone surrogates, fold line ends, compose (NFC): what Postgres takes."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _SURROGATE.sub("\ufffd", _NOT_TEXT.sub("", text))
    return unicodedata.normalize("NFC", text)


def clean_title(title: str) -> str | None:
    """Return a title in one line of bounded length, None where nothing is left."""
    return clean_text(" ".join(title.split()))[:MAX_TITLE_CHARACTERS] or None
