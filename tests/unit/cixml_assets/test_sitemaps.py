from __future__ import annotations

import gzip

import pytest

from cixml_assets.sitemaps import MAX_BYTES, MAX_URLS, read_sitemap
from resources.errors import ChunkingError

URL = "https://example.com/sitemap.xml"
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*paths: str) -> bytes:
    entries = "".join(f"<url><loc>\n https://example.com{path} </loc><priority>1</priority></url>" for path in paths)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset {NAMESPACE}>{entries}</urlset>'.encode()


def pages(body: bytes, url: str = URL) -> list[str]:
    return [each.removeprefix("https://example.com") for each in read_sitemap(body, url).pages]


def test_a_set_of_urls_is_read_plain_or_packed() -> None:
    body = urlset("/a", "/b?x=1&amp;y=2", "/a")
    assert pages(body) == ["/a", "/b?x=1&y=2", "/a"]
    assert pages(gzip.compress(body)) == pages(body)
    assert pages(b"\xef\xbb\xbf" + body) == pages(body)
    assert pages(body.decode().replace("UTF-8", "UTF-16").encode("utf-16")) == pages(body)
    assert pages(gzip.compress(body[:50]) + gzip.compress(body[50:]) + b"\0" * 9) == pages(body)
    assert pages(b"\xef\xbb\xbf\r\n " + body) == pages(body)  # as templates write it
    assert pages(body.replace(b"&amp;", b"&")) == pages(body)


def test_an_index_names_sitemaps() -> None:
    body = (
        f"<sitemapindex {NAMESPACE}><sitemap><loc>https://example.com/1.xml.gz</loc></sitemap></sitemapindex>".encode()
    )
    found = read_sitemap(body, URL)
    assert (found.pages, found.sitemaps) == ([], ["https://example.com/1.xml.gz"])


@pytest.mark.parametrize(
    "body",
    [
        b"https://example.com/a\r\n\r\n# note\n /b\nnot a url\nftp://example.com/no\n",
        "https://example.com/a\nHTTPS://example.com/b".encode("utf-16"),
        b"<rss version='2.0'><channel><link>https://example.com/</link><item><link>https://example.com/a</link></item>"
        b"<item><title>none</title></item><item><link>/b</link></item></channel></rss>",
        b'<feed xmlns="http://www.w3.org/2005/Atom"><link href="/"/><entry><link rel="self" href="/no"/>'
        b'<link href="/a"/></entry><entry><link rel="alternate" href="/b"/></entry></feed>',
    ],
)
def test_text_rss_and_atom_are_sitemaps_too(body: bytes) -> None:
    assert pages(body) == ["/a", "/b"]


def test_a_robots_file_names_its_sitemaps_or_the_usual_one() -> None:
    body = b"User-agent: *\nDisallow: /\nSITEMAP : /a.xml # all\n# Sitemap: /no\rsitemap: https://cdn.example/b.xml\nSitemap:"
    robots = "https://example.com/robots.txt"
    assert read_sitemap(body, robots).sitemaps == ["https://example.com/a.xml", "https://cdn.example/b.xml"]
    assert read_sitemap(b"<html>not found</html>", robots).sitemaps == ["https://example.com/sitemap.xml"]


BOMB = b"""<?xml version="1.0"?><!DOCTYPE urlset [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<urlset><url><loc>https://example.com/&b;</loc></url></urlset>"""


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        BOMB.decode().replace("?>", ' encoding="UTF-16"?>', 1).encode("utf-16"),
        b"<html><body>404</body></html>",
        urlset("/a")[:-12],
        b"\x1f\x8bnothing",
        gzip.compress(urlset("/a"))[:-20],
        gzip.compress(b" " * (MAX_BYTES + 1)),
        gzip.compress(b" " * (MAX_BYTES // 2 + 1)) * 2,
        b"",
        b'{"error": "try https://example.com/ later"}',
        b"Database error: see https://example.com/\n",
    ],
    ids=[
        "entities",
        "entities in utf-16",
        "html",
        "cut short",
        "no gzip",
        "gzip cut short",
        "too large",
        "too large in two",
        "empty",
        "JSON",
        "an error",
    ],
)
def test_what_is_no_sitemap_or_a_bomb_is_refused(body: bytes) -> None:
    with pytest.raises(ChunkingError) as caught:
        read_sitemap(body, URL)
    assert caught.value.code == "sitemap_invalid"


def test_no_external_entity_is_read(tmp_path: object) -> None:
    body = b'<!DOCTYPE urlset SYSTEM "file:///etc/passwd"><urlset><url><loc>https://example.com/a</loc></url></urlset>'
    assert pages(body) == ["/a"]


def test_the_number_of_urls_is_the_protocols() -> None:
    assert len(pages(urlset(*(f"/{n}" for n in range(MAX_URLS + 5))))) == MAX_URLS
    assert len(pages(b"/a\n" * (MAX_URLS + 5))) == MAX_URLS
