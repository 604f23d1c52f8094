from __future__ import annotations

from cixml_assets.links import MAX_LINKS, read_links

URL = "https://example.com/a/b"


def test_links_are_absolute_without_fragment_and_named_once() -> None:
    page = '<a href=" c ">c</a><A HREF="c#x">c</A><area href="//other.example/d"><a href="#top">top</a><a>none</a>'
    assert read_links(page, URL).pages == ["https://example.com/a/c", "https://other.example/d"]


def test_the_first_base_with_an_href_counts() -> None:
    page = '<base target="_top"><base href="/docs/"><base href="/no/"><a href="x">x</a>'
    assert read_links(page, URL).pages == ["https://example.com/docs/x"]
    assert read_links('<base href="data:,"><a href="x">x</a>', URL).pages == ["https://example.com/a/x"]


def test_links_that_are_not_to_be_followed_are_left_out() -> None:
    assert read_links('<a rel="ugc NoFollow" href="x">x</a><a href="y">y</a>', URL).pages == ["https://example.com/a/y"]


def test_the_canonical_address_is_told() -> None:
    assert read_links('<link rel="icon" href="/i"><link rel="canonical" href="/real">', URL).canonical == (
        "https://example.com/real"
    )
    assert read_links('<link rel="canonical" href="javascript:1">', URL).canonical is None


def test_links_are_bounded_in_number_and_length() -> None:
    page = "".join(f'<a href="/{n}">x</a>' for n in range(MAX_LINKS + 10)) + f'<a href="/{"x" * 3000}">x</a>'
    assert len(read_links(page, URL).pages) == MAX_LINKS
    assert read_links(f'<a href="/{"x" * 3000}">x</a>', URL).pages == []


def test_frames_are_links_and_depth_hides_none() -> None:
    content = "<frameset><frame src='menu.html'><frame src='/main.html'></frameset>"
    assert read_links(content, "http://a.example/b/").pages == [
        "http://a.example/b/menu.html",
        "http://a.example/main.html",
    ]
    deep = "<div>" * 3000 + "<a href='/last'>last</a>"
    assert read_links(deep, "http://a.example/").pages == ["http://a.example/last"]
