"""The blocks of an HTML page, in order: headings, paragraphs, list items, code, table rows. Pure; one walk of the tree.

Says of each block whether it is the page's own text or furniture around it (navigation, footers, teasers, comments).
Also reads the tags of trafilatura's result (head, list, item, row, cell, lb), so that both become the same text layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from lxml import etree


class Kind(StrEnum):
    HEADING = "heading"
    TEXT = "text"
    ITEM = "item"
    CODE = "code"
    ROW = "row"


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `link_share` is the part of its characters inside links; `level` is a heading's, 1 to 6;
    `is_content` says that it lies in the element that the page itself calls its content.
    """

    kind: Kind
    text: str
    level: int
    link_share: float
    is_own: bool
    is_content: bool = False


_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ITEMS = frozenset({"li", "item", "dt"})
_CELLS = frozenset({"td", "th", "cell"})
_ROWS = frozenset({"tr", "row"})
_CODE = frozenset({"pre", "listing", "xmp"})
_BLOCKS = _ITEMS | _CELLS | _ROWS | {
    "p", "div", "section", "article", "main", "body", "header", "footer", "aside", "nav", "menu", "ul", "ol", "dl",
    "dd", "list", "blockquote", "quote", "figure", "figcaption", "caption", "details", "summary", "table", "tbody",
    "thead", "tfoot", "form", "fieldset", "address", "hr", "center", "legend", "hgroup",
}  # fmt: skip
_INVISIBLE = frozenset(
    {
        "script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "applet", "select", "option",
        "button", "input", "textarea", "canvas", "audio", "video", "map", "datalist", "dialog", "noframes", "title",
    }
)  # fmt: skip
_STRUCTURE = (*_BLOCKS, *_HEADINGS, *_CODE, *_INVISIBLE, "head", "code", "br", "lb")
_FURNITURE_TAGS = frozenset({"nav", "footer", "aside", "menu", "header"})
_FURNITURE_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar"})
# Whole words of class and id values: `nav-bar`, `site_footer`, `relatedArticles`, but neither `navy` nor `address`.
_FURNITURE_NAME = re.compile(
    r"\b(?:nav|navbar|navigation|navheader|navfooter|menu|submenu|topbar|toolbar|sidenav|breadcrumbs?|"
    r"footer|masthead|banner|cookies?|consent|share|sharing|social|related|recommended|comments?|disqus|respond|promo|"
    r"adverts?|ads?|sponsor(?:ed)?|newsletter|subscribe|pagination|pager|popup|modal|skip|headerlink|"
    r"teasers?|trending|noprint|editsection|catlinks)\b"
)
_BOXES = frozenset({"div", "ul", "ol", "table", "form"})
_TABLE_TAGS = _CELLS | _ROWS | {"table", "tbody", "thead", "tfoot"}
_NAVIGATION_NAME = re.compile(r"\b(?:nav|navbar|navbox|navigation|navheader|navfooter|menu|footer)\b")  # of tables
_SIDEBAR_NAME = re.compile(r"\bsidebar\b")  # a column of links on most sites, a box of text in DocBook's
_ADMONITION = re.compile(
    r"\b(?:note|tip|hint|warning|caution|important|admonition|callout|example|footnotes?|endnotes?|sidebar note)\b"
)
_NOTE_ROLES = frozenset({"note", "doc-footnote", "doc-endnote", "doc-endnotes", "doc-tip", "doc-notice"})
_LINK_TO_ITSELF = re.compile(r"\b(?:headerlink|viewcode link|anchor link|heading anchor|permalink)\b")
_NEVER_SHOWN = re.compile(r"visibility:hidden|opacity:0(?![.\d])|font-size:0(?![.\d])|(?:left|top|text-indent):-\d{3,}")
_FOR_SCREEN_READERS = re.compile(r"\b(?:sr only|visually hidden|visuallyhidden|screen reader text|element invisible)\b")
_UNFOLDED = re.compile(
    r"\b(?:accordion|collapse|collapsed|collapsible|toggle|tabs?|tabpanel|panel|answer|fold|folded|expand|expanded|"
    r"expandable|spoiler|details|dyncontent|faq)\b"
)
_HANDLES = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "dt", "summary", "button", "a"})
_LINE_OF_CODE = re.compile(r"\b(?:line|token line|code line|view line)\b")
_WORD_BORDERS = re.compile(r"[_\-]+|(?<=[a-z])(?=[A-Z])")
_PERMALINK = " \xb6#\U0001f517\uf0c1"  # the links that documentation tools put behind headings
_BREAK = "\ue000"  # stands for <br> while white space is folded: a private-use character
MAX_NAME_CHARACTERS = 300
MAX_DEPTH = 180  # four Python frames each; what lies deeper is read as plain text


def blocks_of(root: etree._Element) -> list[Block]:
    """Return the blocks of a tree in reading order."""
    _empty_links_to_themselves(root)
    _empty_hidden_words(root)
    walker = _Walker(_containers(root))
    walker.visit(root, 0)
    walker.flush()
    return walker.blocks


def _empty_links_to_themselves(root: etree._Element) -> None:
    """Take the text of the signs that documentation tools put behind headings and terms: a pilcrow, "[source]"."""
    for link in root.iter("a"):
        name = link.get("class")
        if name and _is_named(str(name[:MAX_NAME_CHARACTERS]), _LINK_TO_ITSELF):
            link.clear(keep_tail=True)  # type: ignore[call-arg]  # the stubs are older


def _empty_hidden_words(root: etree._Element) -> None:
    """Take the text of what is not seen within a line: the walk looks at blocks alone."""
    for element in root.iter("span", "small", "i", "em", "b", "strong", "font"):
        if element.attrib and _is_invisible(str(element.tag), element):
            element.clear(keep_tail=True)  # type: ignore[call-arg]  # the stubs are older


def _containers(root: etree._Element) -> set[etree._Element]:
    """Return every element with structure below it; all others hold inline text alone and are read at once."""
    found: set[etree._Element] = set()
    for element in root.iter(*_STRUCTURE):
        parent = element.getparent()
        while parent is not None and parent not in found:
            found.add(parent)
            parent = parent.getparent()
    return found


def render(blocks: Iterable[Block]) -> str:
    """Return the text layer: blocks an empty line apart, items and rows a line, headings with their marks."""
    parts: list[str] = []
    before: Kind | None = None
    for block in blocks:
        if parts:
            parts.append("\n" if before == block.kind and block.kind in (Kind.ITEM, Kind.ROW) else "\n\n")
        parts.append(f"{'#' * block.level} {block.text}" if block.kind == Kind.HEADING else block.text)
        before = block.kind
    return "".join(parts)


def fold(text: str) -> str:
    """Fold white space to single spaces, as a browser shows it."""
    return " ".join(text.split())


class _Walker:
    """Collects inline text until a block begins or ends."""

    def __init__(self, containers: set[etree._Element]) -> None:
        self.blocks: list[Block] = []
        self._containers = containers
        self._pieces: list[str] = []
        self._link_characters = 0
        self._in_link = 0
        self._in_furniture = 0
        self._in_content = 0
        self._kind = Kind.TEXT
        self._level = 0

    def visit(self, element: etree._Element, depth: int) -> None:
        tag = element.tag
        if not isinstance(tag, str) or _is_invisible(tag, element):
            return
        if depth > MAX_DEPTH:
            self._text(_text_of(element))
            return
        if tag in _HEADINGS or tag == "head":
            self._block(element, depth, Kind.HEADING, _HEADINGS.get(tag) or _HEADINGS.get(element.get("rend", ""), 2))
        elif tag in _CODE or (tag == "code" and not self._pieces and "\n" in (element.text or "")):
            self._code(element)
        elif tag in _ROWS and self._is_one_line(element):  # else a layout table: cells are read as blocks
            self._row(element)
        elif tag in _ITEMS:
            self._block(element, depth, Kind.ITEM, 0)
        elif tag in _BLOCKS:
            self._container(tag, element, depth)
        else:
            self._inline(tag, element, depth)

    def flush(self) -> None:
        """End the block that is being collected."""
        if not self._pieces:
            return
        raw = "".join(self._pieces)
        self._pieces.clear()
        lines = (fold(line) for line in raw.split(_BREAK))
        self._add(self._kind, "\n".join(line for line in lines if line), self._link_characters)
        self._link_characters = 0
        if self._kind == Kind.ITEM:
            self._kind = Kind.TEXT  # what follows the first paragraph of an item

    def _add(self, kind: Kind, text: str, link_characters: int) -> None:
        if kind == Kind.HEADING:
            text = text.replace("\n", " ").rstrip(_PERMALINK)
        if text:
            share = min(1.0, link_characters / len(text))
            level = self._level if kind == Kind.HEADING else 0
            self.blocks.append(Block(kind, text, level, share, not self._in_furniture, self._in_content > 0))

    def _text(self, text: str | None) -> None:
        if text:
            self._pieces.append(text)
            if self._in_link:
                self._link_characters += len(text)

    def _children(self, element: etree._Element, depth: int) -> None:
        self._text(element.text)
        for child in element:
            self.visit(child, depth + 1)
            self._text(child.tail)

    def _inside(self, element: etree._Element, depth: int) -> None:
        if element in self._containers:
            self._children(element, depth)
            self.flush()
        elif text := fold(_text_of(element)):
            self._add(self._kind, text, len(text) if self._in_link else _link_characters(element))

    def _inline(self, tag: str, element: etree._Element, depth: int) -> None:
        if tag in ("br", "lb"):
            self._pieces.append(_BREAK)
            return
        is_link = tag in ("a", "ref")
        self._in_link += is_link
        self._children(element, depth)
        self._in_link -= is_link

    def _block(self, element: etree._Element, depth: int, kind: Kind, level: int) -> None:
        self.flush()
        outer = self._kind, self._level
        self._kind, self._level = kind, level
        furniture = _has_furniture_name(element)
        self._in_furniture += furniture
        self._inside(element, depth)
        self._in_furniture -= furniture
        self._kind, self._level = outer

    def _container(self, tag: str, element: etree._Element, depth: int) -> None:
        self.flush()
        furniture = tag not in ("main", "body", "article") and _is_furniture(tag, element, self._in_content > 0)
        content = tag in ("main", "article") or element.get("role") == "main"
        self._in_furniture += furniture
        self._in_content += content
        self._inside(element, depth)
        self._in_content -= content
        self._in_furniture -= furniture

    def _code(self, element: etree._Element) -> None:
        self.flush()
        for lb in element.iter("br", "lb"):
            lb.tail = f"\n{lb.tail or ''}"
        _end_lines(element)
        lines = (line.rstrip() for line in _text_of(element).splitlines())
        self._add(Kind.CODE, "\n".join(lines).strip("\n"), 0)

    def _is_one_line(self, row: etree._Element) -> bool:
        """Say whether a row holds cells of inline text and nothing beside them."""
        if row.text and row.text.strip():
            return False
        return all(self._is_plain_cell(cell) and not (cell.tail and cell.tail.strip()) for cell in row)

    def _is_plain_cell(self, cell: etree._Element) -> bool:
        if cell.tag not in _CELLS:
            return False
        if len(cell) == 1 and cell[0].tag == "p" and not cell[0].tail:  # as DocBook writes its cells
            cell = cell[0]
        return cell not in self._containers

    def _row(self, element: etree._Element) -> None:
        self.flush()
        cells = [fold(_text_of(cell)) for cell in element if cell.tag in _CELLS]
        self._add(Kind.ROW, " | ".join(cell for cell in cells if cell), _link_characters(element))


def _end_lines(code: etree._Element) -> None:
    """End the lines of code that are elements of their own without a line break, and nothing stands beside them."""
    for parent in [code, *code.iterdescendants()]:
        lines = list(parent)
        is_lines_alone = len(lines) > 1 and not (parent.text or "").strip() and all(map(_is_line, lines))
        if is_lines_alone and "\n" not in _text_of(parent).strip("\n"):
            for line in lines:
                line.tail = "\n"


def _is_line(element: etree._Element) -> bool:
    if (element.tail or "").strip():
        return False
    if element.tag in ("div", "p", "li"):
        return True
    return "display:block" in str(element.get("style") or "").replace(" ", "") or _has_name(element, _LINE_OF_CODE)


def _text_of(element: etree._Element) -> str:
    if len(element) == 0:
        return element.text or ""
    return etree.tostring(element, method="text", encoding="unicode", with_tail=False)


def _link_characters(element: etree._Element) -> int:
    if len(element) == 0:
        return 0
    return sum(len(_text_of(link)) for link in element.iter("a", "ref"))


def _is_invisible(tag: str, element: etree._Element) -> bool:
    if tag == "button" and _parent_tag(element) == "p":
        return False  # a word of a sentence: "press [Save]"
    if tag in _INVISIBLE or (tag == "head" and element.get("rend") is None and _parent_tag(element) == "html"):
        return True
    attributes = element.attrib
    if not attributes or tag == "body":
        return False
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    if _has_name(element, _FOR_SCREEN_READERS):
        return True
    style = attributes.get("style")
    if style is None:
        return False
    style = "".join(str(style).split()).lower()
    if _NEVER_SHOWN.search(style):
        return True
    return "display:none" in style and not _may_be_unfolded(element)


def _may_be_unfolded(element: etree._Element) -> bool:
    """Say whether a box that is not displayed is there to be: a click, or a script when all is loaded, shows it."""
    if next(element.iterdescendants("p", "pre", "table", "li"), None) is None:
        return False
    above = element.getprevious()
    is_below_handle = above is not None and (above.tag in _HANDLES or "onclick" in above.attrib)
    if is_below_handle or _has_name(element, _UNFOLDED) or _holds_most_prose(element):
        return True
    name = element.get("id")
    return name is not None and any(
        link.get("href") == f"#{name}" or link.get("aria-controls") == name or name in (link.get("onclick") or "")
        for link in element.getroottree().iter("a", "button", "summary", "span", "div")
    )


def _parent_tag(element: etree._Element) -> str:
    parent = element.getparent()
    return "" if parent is None else str(parent.tag)


def _is_furniture(tag: str, element: etree._Element, in_content: bool) -> bool:
    if tag in _FURNITURE_TAGS:
        if tag == "aside":
            return not (element.get("role") in _NOTE_ROLES or _has_name(element, _ADMONITION))
        return tag != "header" or not in_content
    if element.get("role") in _FURNITURE_ROLES:
        return True
    if tag in _TABLE_TAGS:
        return _has_name(element, _NAVIGATION_NAME)
    if _has_name(element, _SIDEBAR_NAME):
        is_named = 3 * _link_characters(element) >= len(_text_of(element)) and not _holds_most_prose(element)
    else:
        is_named = _has_furniture_name(element)
    return is_named and next(element.iter("main", "article", "h1"), None) is None


def _holds_most_prose(element: etree._Element) -> bool:
    """Say whether a box holds most of the page's paragraphs: `has-sidebar` names the frame of everything."""
    root = element.getroottree()
    return 2 * sum(1 for _ in element.iter("p")) > sum(1 for _ in root.iter("p"))


def _has_furniture_name(element: etree._Element) -> bool:
    return _has_name(element, _FURNITURE_NAME)


def _has_name(element: etree._Element, pattern: re.Pattern[str]) -> bool:
    """Match the class of an element, and the id of a box: the ids of sections and terms are made of their headings."""
    name = element.get("class")
    if name and _is_named(str(name[:MAX_NAME_CHARACTERS]), pattern):
        return True
    if element.tag not in _BOXES or (name and "sect" in name):
        return False
    name = element.get("id")
    return name is not None and _is_named(str(name[:MAX_NAME_CHARACTERS]), pattern)


@lru_cache(maxsize=4096)
def _is_named(name: str, pattern: re.Pattern[str]) -> bool:
    return pattern.search(_WORD_BORDERS.sub(" ", name).lower()) is not None
