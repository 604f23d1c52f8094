"""From an HTML page to the URLs it names: links and its canonical address. Pure, and bounded."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from cixml_assets.html_tree import parse_html
from resources.errors import InvalidUrlError
from resources.types import PageLinks
from resources.web.urls import parse_url

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
MAX_LINKS = 5_000
_SPACE = " \t\n\f\r"


def read_links(content: str, url: str) -> PageLinks:
    """Return the links of a decoded page at `url`, each once. Raises ChunkingError for what is no HTML."""
    tree = parse_html(content)
    base = _base(tree, url)
    canonical = next((_resolved(element, base) for element in tree.iter("link") if "canonical" in _rels(element)), None)
    pages: dict[str, None] = {}
    for link in _links(tree, base):
        pages[link] = None
        if len(pages) == MAX_LINKS:
            break
    return PageLinks(pages=list(pages), canonical=canonical)


def _base(tree: etree._Element, url: str) -> str:
    """Return what links are relative to: the first <base href> that can be fetched, else the page."""
    for element in tree.iter("base"):
        if element.get("href") is not None:
            return _resolved(element, url) or url
    return url


def _links(tree: etree._Element, base: str) -> Iterator[str]:
    for element in tree.iter("a", "area", "frame"):
        if "nofollow" not in _rels(element) and (link := _resolved(element, base)) is not None:
            yield link


def _rels(element: etree._Element) -> list[str]:
    return element.get("rel", "").lower().split()


def _resolved(element: etree._Element, base: str) -> str | None:
    """Return the absolute URL without fragment of an element's href; None: it is not to be fetched."""
    href = element.get("src" if element.tag == "frame" else "href", "").strip(_SPACE)
    if not href or href.startswith("#"):
        return None
    try:
        return parse_url(href, base=base).href
    except InvalidUrlError:
        return None
