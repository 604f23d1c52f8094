"""The text of a PDF, page after page. Pure: runs in a worker that is killed when a file takes too long or too much."""

from __future__ import annotations

import io
import logging
import re
import struct
import zlib
from datetime import datetime

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

from cixml_assets.dates import read_date
from cixml_assets.text_layer import clean_text, clean_title
from resources.errors import ChunkingError
from resources.types import TextLayer

MAX_PAGES = 2_000
_BROKEN = (
    PyPdfError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pypdf raises for files that break the format, or use a filter that it has not; it says so of a few alone."""
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u00ad]\n(?=[a-zà-öø-ÿ])")
_DATE = re.compile(r"(?:D:)?(\d{8})(?:(\d{6})(?:([+-])(\d\d)'?(\d\d)?)?)?")
_LANGUAGE = re.compile(r"[A-Za-z]{2}(?![A-Za-z])")


def read_pdf(body: bytes) -> TextLayer:
    """Return the text of a PDF. Raises ChunkingError: extraction_failed (broken or locked), empty_text (pictures)."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # a line for each fault of a file helps nobody
    try:
        reader = PdfReader(io.BytesIO(body))
        if len(reader.pages) > MAX_PAGES:
            raise ChunkingError("extraction_failed", f"the PDF has {len(reader.pages)} pages: at most {MAX_PAGES}")
        pages = [_page_text(page.extract_text()) for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
        created = str(reader.metadata.get("/CreationDate") or "") if reader.metadata else ""
        language = str(reader.root_object.get("/Lang") or "")
    except (FileNotDecryptedError, DependencyError) as error:
        raise ChunkingError("extraction_failed", "the PDF is locked: its text can't be read") from error
    except _BROKEN as error:
        raise ChunkingError("extraction_failed", "the PDF is broken: it can't be read") from error
    text = "\n\n".join(page for page in pages if page)
    if not text:
        raise ChunkingError("empty_text", "the PDF holds no text, pictures alone perhaps")
    match = _LANGUAGE.match(language)
    return TextLayer(
        text=text,
        title=clean_title(str(title or "")) or clean_title(text.partition("\n")[0]),
        language=match[0].lower() if match else None,
        coverage=1.0,
        extractor="pypdf",
        published_at=_date(created),
    )


def _date(written: str) -> datetime | None:
    """Read a date as PDF writes it, D:20240229123000+01'00'."""
    match = _DATE.match(written)
    if match is None:
        return None
    day, time, sign, hours, minutes = match.groups(default="")
    zone = f"{sign}{hours}:{minutes or '00'}" if sign else ""
    return read_date(f"{day}T{time}{zone}" if time else day)


def _page_text(text: str) -> str:
    lines = (line.rstrip() for line in clean_text(text).splitlines())
    joined = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    return _HYPHEN.sub("", joined)
