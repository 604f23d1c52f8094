"""PDF: its text, and files that are broken, locked or pictures alone."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfWriter

from cixml_assets.extraction import read_page
from cixml_assets.pdf import MAX_PAGES, read_pdf
from resources.errors import ChunkingError

SAMPLE = (Path(__file__).parents[2] / "data" / "pages" / "sqlite-copyright-release.pdf").read_bytes()


def written(writer: PdfWriter) -> bytes:
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def blank(pages: int) -> PdfWriter:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(width=100, height=100)
    return writer


def test_text_of_a_pdf_is_read_in_lines_with_a_title() -> None:
    result = read_page(SAMPLE, "application/pdf", None)
    assert "Copyright Release for\nContributions To SQLite" in result.text
    assert "SQLite is software that implements an embeddable SQL database engine" in " ".join(result.text.split())
    assert (result.extractor, result.coverage) == ("pypdf", 1.0)
    assert result.title == "Copyright Release for"


def test_title_is_that_of_the_file() -> None:
    writer = PdfWriter(clone_from=io.BytesIO(SAMPLE))
    writer.add_metadata({"/Title": "Release\n of Copyright"})
    assert read_pdf(written(writer)).title == "Release of Copyright"


def test_locked_pdf_is_an_error_unless_nothing_has_to_be_typed() -> None:
    locked, open_to_all = PdfWriter(clone_from=io.BytesIO(SAMPLE)), PdfWriter(clone_from=io.BytesIO(SAMPLE))
    locked.encrypt("secret", algorithm="RC4-128")
    open_to_all.encrypt("", "owner", algorithm="RC4-128")
    assert "SQLite" in read_pdf(written(open_to_all)).text
    with pytest.raises(ChunkingError, match="locked") as caught:
        read_pdf(written(locked))
    assert caught.value.code == "extraction_failed"


def test_pdf_of_pictures_has_no_text() -> None:
    with pytest.raises(ChunkingError) as caught:
        read_pdf(written(blank(2)))
    assert caught.value.code == "empty_text"


def test_number_of_pages_is_bounded() -> None:
    with pytest.raises(ChunkingError, match="pages: at most"):
        read_pdf(written(blank(MAX_PAGES + 1)))


@pytest.mark.parametrize("body", [b"%PDF-1.7", b"%PDF-1.7\n" + b"[" * 100_000, b"%PDF-" + b"1 0 obj<</Length " * 9999])
def test_broken_pdf_is_an_error(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(ChunkingError) as caught:
        read_pdf(body)
    assert caught.value.code == "extraction_failed"
    assert time.process_time() - started < 5


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(SAMPLE) - 1), st.binary(min_size=1, max_size=30), st.booleans())
def test_damage_gives_text_or_an_error(at: int, damage: bytes, is_cut: bool) -> None:
    body = SAMPLE[:at] + damage + (b"" if is_cut else SAMPLE[at + len(damage) :])
    try:
        text = read_pdf(body).text
    except ChunkingError:
        return
    text.encode()
    assert "\x00" not in text
