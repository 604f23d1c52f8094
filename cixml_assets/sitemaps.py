"""From a sitemap's bytes to the URLs it names (sitemaps.org 0.9): index, URL set, text, RSS, Atom, gzip. Pure, bounded.

A robots.txt is read for its `Sitemap` lines; without any, `/sitemap.xml` of its host is what it names.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice

from ada_url import URL
from lxml import etree

from resources.errors import ChunkingError, InvalidUrlError
from resources.types import PageLinks
from resources.web.robots import sitemap_lines
from resources.web.urls import parse_url

MAX_URLS = 50_000
MAX_BYTES = 50 * 2**20  # the protocol's own limits, decoded
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's window bits for a gzip header
_BARE_AMPERSAND = re.compile(rb"&(?!#\d{1,7};|#x[0-9a-fA-F]{1,6};|(?:amp|lt|gt|quot|apos);)")  # as many write URLs
_ENTRIES = {"url": "loc", "sitemap": "loc", "item": "link", "entry": "link"}
_ROOTS = frozenset({"urlset", "sitemapindex", "rss", "RDF", "feed"})


def read_sitemap(body: bytes, url: str) -> PageLinks:
    """Return what the sitemap at `url` names, up to 50,000 URLs. Raises ChunkingError(sitemap_invalid)."""
    body = _unpacked(body).removeprefix(b"\xef\xbb\xbf").lstrip(b"\t\n\r ")
    if str(URL(url).pathname) == "/robots.txt":
        named = list(_absolute(sitemap_lines(body.decode("utf-8", "replace")), url))
        return PageLinks(sitemaps=named or [str(URL("/sitemap.xml", base=url).href)])
    text = _text(body)
    if text is not None:
        return PageLinks(pages=_lines(text, url))
    try:
        return _read_xml(body, url)
    except ChunkingError:
        escaped = _BARE_AMPERSAND.sub(b"&amp;", body)
        if escaped == body:
            raise
        return _read_xml(escaped, url)


def _read_xml(body: bytes, url: str) -> PageLinks:
    pages: list[str] = []
    sitemaps: list[str] = []
    for kind, text in _entries(body):
        if len(pages) + len(sitemaps) == MAX_URLS:
            break
        (sitemaps if kind == "sitemap" else pages).extend(_absolute([text], url))
    return PageLinks(pages=pages, sitemaps=sitemaps)


def _unpacked(body: bytes) -> bytes:
    if body.startswith(_GZIP_MAGIC):
        body = _gunzipped(body)
    if len(body) > MAX_BYTES:
        raise _invalid(f"the sitemap is larger than {MAX_BYTES} bytes")
    return body


def _gunzipped(packed: bytes) -> bytes:
    """Return what is in a gzip file, of one member or several, up to a byte more than is allowed."""
    body = bytearray()
    while packed.startswith(_GZIP_MAGIC) and len(body) <= MAX_BYTES:
        unpacker = zlib.decompressobj(_GZIP)
        try:
            body += unpacker.decompress(packed, MAX_BYTES + 1 - len(body))
        except zlib.error as error:
            raise _invalid("the sitemap says it is gzip and is not") from error
        if not unpacker.eof and len(body) <= MAX_BYTES:
            raise _invalid("the gzip of the sitemap ends early")
        packed = unpacker.unused_data
    return bytes(body)


def _entries(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield (kind of entry, URL). Entities are refused: a sitemap has none, and a few lines of them fill the memory."""
    events = etree.iterparse(
        io.BytesIO(body), events=("start", "end"), resolve_entities=False, no_network=True, huge_tree=False,
        load_dtd=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    is_known = False
    try:
        for event, element in events:
            name = etree.QName(element).localname if isinstance(element.tag, str) else ""
            if event == "start":
                if not is_known:
                    _check_root(element, name)
                is_known = True
            elif name in _ENTRIES:
                yield from ((name, text) for text in _urls(element, _ENTRIES[name]))
                element.clear()
                while element.getprevious() is not None:  # what is read is dropped: memory stays flat
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise _invalid("the sitemap is no well-formed XML") from error


def _check_root(root: etree._Element, name: str) -> None:
    if name not in _ROOTS:
        raise _invalid(f"the sitemap begins with <{name[:40]}>")
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and dtd.entities():  # type: ignore[attr-defined]  # the stubs lack it
        raise _invalid("the sitemap declares entities")


def _urls(entry: etree._Element, tag: str) -> Iterator[str]:
    """Yield the URL of an entry: text, or the href of an Atom link that is its page."""
    for child in entry:
        if isinstance(child.tag, str) and etree.QName(child).localname == tag:
            if child.get("rel", "alternate") != "alternate":
                continue
            text = child.get("href") or child.text
            if text:
                yield text
                return


def _text(body: bytes) -> str | None:
    """Return the text of a sitemap that is no XML."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = body.decode("utf-16", "replace")
        return None if text.lstrip().startswith("<") else text
    return None if body.startswith(b"<") or b"\0" in body[:1024] else body.decode("utf-8", "replace")


def _lines(text: str, url: str) -> list[str]:
    """Return the lines that are URLs. One at least: a notice of an error must not look as if all pages had gone."""
    lines = (line.strip() for line in text.splitlines())
    named = (line for line in lines if line.lower().startswith(("https://", "http://", "/")))
    found = list(islice(_absolute(named, url), MAX_URLS))
    if not found:
        raise _invalid("the sitemap is no XML and names no URL")
    return found


def _absolute(texts: Iterable[str], url: str) -> Iterator[str]:
    for text in texts:
        try:
            yield parse_url(text.strip(), base=url).href
        except InvalidUrlError:
            continue


def _invalid(detail: str) -> ChunkingError:
    return ChunkingError("sitemap_invalid", detail)
