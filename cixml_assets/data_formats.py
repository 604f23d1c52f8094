"""JSON, XML and feeds as text that a person can read and a search can find. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime

from lxml import etree

from cixml_assets.dates import read_date
from cixml_assets.structure import fold
from cixml_assets.text_layer import clean_text, clean_title
from resources.errors import ChunkingError
from resources.types import TextLayer

MAX_LINE_CHARACTERS = 400  # JSON with a longer line was written for machines
MAX_INDENT = 40
MAX_XML_ELEMENTS = 200_000
_JSON_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_EMPTY_BRACKETS = {"{": "}", "[": "]"}
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_TITLES = frozenset({"title", "h1", "head", "heading"})
_DATES = frozenset({"pubdate", "published", "issued", "date"})
_NO_TEXT_ELEMENTS = frozenset({"script", "style"})
ReadHtml = Callable[[str], str]


def read_json(content: str) -> TextLayer:
    """Return JSON as it is, or indented where it is one long line; escaped letters are written out."""
    text = clean_text(content).strip()
    is_for_machines = "\\u" in text or max(map(len, text.splitlines()), default=0) > MAX_LINE_CHARACTERS
    if is_for_machines and _is_json(text):
        text = clean_text(_indented(text)).strip()
    return TextLayer(text=text, title=None, language=None, coverage=1.0, extractor="json")


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _indented(text: str) -> str:
    """Lay JSON out anew, piece by piece: numbers, order and doubled keys stay as they are."""
    pieces: list[str] = []
    depth = 0
    before = ""
    for match in _JSON_PIECE.finditer(text):
        piece = match[0]
        if piece in ("}", "]"):
            depth = max(0, depth - 1)
            if before not in _EMPTY_BRACKETS:
                pieces.append(_new_line(depth))
        elif before in _EMPTY_BRACKETS or before == ",":
            pieces.append(_new_line(depth))
        pieces.append(_written_out(piece) if piece[0] == '"' and "\\u" in piece else piece)
        if piece == ":":
            pieces.append(" ")
        depth += piece in _EMPTY_BRACKETS
        before = piece
    return "".join(pieces)


def _new_line(depth: int) -> str:
    return "\n" + "  " * min(depth, MAX_INDENT)


def _written_out(piece: str) -> str:
    return json.dumps(json.loads(piece, strict=False), ensure_ascii=False)


def read_xml(content: str, read_html: ReadHtml) -> TextLayer:
    """Return the texts of an XML document, a feed's entries with their titles as headings.

    `read_html` reads HTML that stands in an element as text, as feeds have it.
    """
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, recover=True, remove_comments=True, remove_pis=True,
        remove_blank_text=False,
    )  # fmt: skip
    source = _XML_DECLARATION.sub("", clean_text(content)).encode("utf-8", "replace")
    try:
        root = etree.fromstring(source, parser=parser)
    except etree.XMLSyntaxError as error:
        raise ChunkingError("extraction_failed", "the page is not readable as XML") from error
    if root is None:
        raise ChunkingError("empty_text", "the page holds no text")
    if sum(1 for _ in root.iter()) > MAX_XML_ELEMENTS:
        raise ChunkingError("extraction_failed", f"the page has more than {MAX_XML_ELEMENTS} elements")
    blocks = list(_blocks(root, read_html))
    titles = (element for element in root.iter() if _name(element) in _TITLES)
    title = next((found for element in titles if (found := clean_title(_text_within(element)))), None)
    language = root.get("{http://www.w3.org/XML/1998/namespace}lang") or _text_of(root, "language")
    return TextLayer(
        text=clean_text("\n\n".join(blocks)).strip(),
        title=title,
        language=language[:2].lower() if language and re.match(r"[A-Za-z]{2}(?![A-Za-z])", language) else None,
        coverage=1.0,
        extractor="xml",
        published_at=_published_at(root),
    )


def _blocks(root: etree._Element, read_html: ReadHtml) -> Iterator[str]:
    """Yield a block for each run of leaves, and for each element of mixed content; iterative, so no depth hurts."""
    lines: list[str] = []
    stack: list[etree._Element | None] = [root]
    while stack:
        element = stack.pop()
        if element is None or not isinstance(element.tag, str) or _name(element) in _NO_TEXT_ELEMENTS:
            if lines:
                yield "\n".join(lines)
                lines.clear()
            continue
        if len(element) and not _is_mixed(element):
            stack += [None, *reversed(element), None]
            continue
        text = _text_within(element)
        is_html = "<" in text and re.search(r"</?[a-zA-Z][^>]*>", text) is not None
        is_title = _name(element) in _TITLES
        text = read_html(text) if is_html and not is_title else fold(text)
        if text and (is_html or is_title or len(element)):
            if lines:
                yield "\n".join(lines)
                lines.clear()
            yield f"## {text}" if is_title else text
        elif text:
            lines.append(text)


def _text_within(element: etree._Element) -> str:
    return "".join(str(piece) for piece in element.itertext())


def _is_mixed(element: etree._Element) -> bool:
    return bool(element.text and element.text.strip()) or any(child.tail and child.tail.strip() for child in element)


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname.lower() if isinstance(element.tag, str) else ""


def _published_at(root: etree._Element) -> datetime | None:
    """Return the first date in the document: a feed's own, or that of its first entry, which is the newest."""
    dates = (read_date(element.text or "") for element in root.iter() if _name(element) in _DATES)
    return next((date for date in dates if date is not None), None)


def _text_of(root: etree._Element, name: str) -> str | None:
    return next((element.text for element in root.iter() if _name(element) == name), None)
