"""Types: which are indexed, and what a body is whatever its server says."""

from __future__ import annotations

import pytest

from resources.media_types import normal_type, sniffed_type


@pytest.mark.parametrize(
    ("declared", "normal"),
    [
        ("Text/HTML", "text/html"),
        ("application/xhtml+xml", "text/html"),
        ("application/rss+xml", "application/xml"),
        ("application/ld+json", "application/json"),
        ("text/csv", "text/plain"),
        ("application/octet-stream", ""),
        ("", ""),
        ("image/svg+xml", None),
        ("image/png", None),
        ("application/zip", None),
        ("text/css", None),
    ],
)
def test_declared_type_has_one_name(declared: str, normal: str | None) -> None:
    assert normal_type(declared) == normal


@pytest.mark.parametrize(
    ("body", "declared", "found"),
    [
        (b"\n%PDF-1.4 ...", "", "application/pdf"),
        (b"%PDF-1.4 ...", "text/html", "application/pdf"),
        (b"%PDF-1.4 ...", "text/plain", "application/pdf"),
        (b"<!doctype html><p>No such file", "application/pdf", "text/html"),
        (b"\x89PNG\r\n\x00", "application/pdf", None),
        (b"\xef\xbb\xbf<!-- a --> <!DOCTYPE html><p>a", "text/plain", "text/html"),
        (b"<html><p>a", "", "text/html"),
        (b"<?xml version='1.0'?>\n<html xmlns='x'><p>a</p></html>", "application/xml", "text/html"),
        (b"<p>a</p>", "", "text/html"),
        (b"<p>a</p>", "text/plain", "text/plain"),  # text about HTML
        (b"<html> is the root", "text/markdown", "text/markdown"),
        (b"<?xml version='1.0'?><rss><channel/></rss>", "text/html", "application/xml"),
        (b"<?xml version='1.0'?><svg/>", "application/xml", None),
        (b' {"a": [1]}\n', "", "application/json"),
        (b'{"a": [1]}', "text/html", "application/json"),
        (b"{% macro %} <p>text</p> {% end %}", "text/html", "text/html"),
        (b"plain\ttext", "", "text/plain"),
        ("plain".encode("utf-16"), "", "text/plain"),
        (b"\x7fELF\x02\x01\x00", "", None),
        (b"PK\x03\x04\x00\x00", "", None),
        (b"\x89PNG\r\n\x1a\n", "text/html", None),
        (b"\x1f\x8b\x08\x00", "text/plain", None),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "text/html", None),
        (b"\0\0\0\x18ftypmp42", "text/html", None),
        (b"BM6\x10\0\0\0\0\0\0", "text/plain", None),
        (b"BM is short for a thing", "text/plain", "text/plain"),
        (b"{\\rtf1 text}", "text/plain", None),
        (b"a\0b", "text/html", "text/html"),  # a stray NUL is left out of the text
    ],
)
def test_body_says_what_it_is(body: bytes, declared: str, found: str | None) -> None:
    assert sniffed_type(body, declared) == found
