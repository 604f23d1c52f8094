from __future__ import annotations

import time

import pytest

from resources.web.page_head import HEAD_BYTES, read_head


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<meta http-equiv="refresh" content="0; url=/next">', "/next"),
        ("<META content='5;URL=&quot;b?x=1&amp;y=2&quot;' HTTP-EQUIV=Refresh>", "b?x=1&y=2"),
        ('<meta http-equiv="refresh" content="0;\'/a b\'">', "/a b"),
        ('<meta http-equiv="refresh" content="0.5, /next">', "/next"),
        ('<meta http-equiv="refresh" content="; url=/next">', "/next"),
        ('<meta http-equiv="refresh" content="6; url=/next">', None),
        ('<meta http-equiv="refresh" content="300">', None),
        ('<meta http-equiv="refresh" content="0; url=">', None),
        ('<meta http-equiv="refresh" content=".;url=/next">', None),
        ('<meta name="refresh" content="0; url=/next">', None),
        ('<!-- <meta http-equiv="refresh" content="0; url=/next"> -->', None),
        ('<noscript><meta http-equiv="refresh" content="0; url=/nojs"></noscript>', None),
        ("<script>\"<meta http-equiv=refresh content='0; url=/x'>\"</script>", None),
        ("<p>Nothing</p>", None),
    ],
)
def test_a_page_that_sends_its_reader_on_is_told(page: str, expected: str | None) -> None:
    assert read_head(f"<html><head>{page}</head></html>".encode()).refresh == expected


def test_names_and_contents_are_told_whatever_the_bytes_of_a_character() -> None:
    page = '<meta charset=utf-16><META CONTENT="noindex" NAME=" Robots "><!-- <meta name="x" content="y"> -->'
    for encoding in ("utf-8", "utf-16", "utf-16-be"):
        assert list(read_head(page.encode(encoding)).named) == [("robots", "noindex")]
    late = b" " * HEAD_BYTES + b'<meta name="robots" content="none">'
    assert list(read_head(late).named) == []


@pytest.mark.parametrize(
    "piece", [b"<meta ", b"<meta a=", b"<script", b"<!--", b"<meta content='", b"<meta http-equiv=a "]
)
def test_hostile_heads_cost_little(piece: bytes) -> None:
    started = time.monotonic()
    read_head(piece * HEAD_BYTES)
    assert time.monotonic() - started < 1
