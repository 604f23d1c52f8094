"""From the text of a page to its tree, whatever the page does to its parser. Pure.

libxml2 reads no further where elements are nested 256 deep, and says so only in its log: old pages that never close a
<font> would end in the middle. Such a page is parsed without its formatting, or as headings and paragraphs alone.
"""

from __future__ import annotations

import re

from lxml import etree

from resources.errors import ChunkingError

MAX_TAG_CHARACTERS = 20_000  # a longer tag is looked at more closely
MAX_TAG_ATTRIBUTES = 2_000  # libxml2 is quadratic in them: 40,000 take 4 s, 200,000 take minutes
_FORMATTING = re.compile(
    r"</?(?:font|b|i|u|s|span|em|strong|small|big|tt|sub|sup|ins|del|center|nobr|cite|abbr|strike|blink|label)\b[^<>]*>",
    re.IGNORECASE,
)
_STRUCTURE = re.compile(
    r"</?(?!(?:html|head|body|base|link|meta|title|script|style|h[1-6]|p|br|a)\b)[a-z][^<>]*>", re.IGNORECASE
)
_HEADING = re.compile(r"</?h[1-6]\b[^<>]*>", re.IGNORECASE)


def parse_html(content: str, parser_type: type[etree.HTMLParser] = etree.HTMLParser) -> etree._Element:
    """Parse a page. Raises ChunkingError: empty_text, extraction_failed.

    Elements of lxml.html, which trafilatura needs, make our own walk slower by half.
    """
    content = content.replace("\x00", "")
    tree, is_whole = _parsed(content, parser_type)
    for pattern, stand_in in ((_FORMATTING, ""), (_STRUCTURE, "<p>"), (_HEADING, "<p>")):
        if not is_whole:
            content = pattern.sub(stand_in, content)
            tree, is_whole = _parsed(content, parser_type)
    if not is_whole:
        raise ChunkingError("extraction_failed", "the page's elements are nested too deep")
    return tree


def _parsed(content: str, parser_type: type[etree.HTMLParser]) -> tuple[etree._Element, bool]:
    """Return the tree, and whether all of the page is in it."""
    parser = parser_type(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    try:
        tree = etree.fromstring(content.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError as error:
        raise ChunkingError("empty_text", "the page holds no text") from error
    except etree.XMLSyntaxError as error:
        raise ChunkingError("extraction_failed", "the page is not readable as HTML") from error
    if tree is None:
        raise ChunkingError("empty_text", "the page holds no text")
    return tree, not any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log)


def refuse_attribute_bomb(content: str) -> None:
    """Raise ChunkingError for a page that would hold the parser for minutes."""
    for piece in content.split(">"):
        if len(piece) > MAX_TAG_CHARACTERS and "<" in piece:
            tag = re.sub(
                r"\"[^\"]*\"|'[^']*'", "", piece[piece.index("<") :]
            )  # a long value (an inline image) is no bomb
            if len(tag) > MAX_TAG_CHARACTERS and len(re.findall(r"[\s/=]+", tag)) > MAX_TAG_ATTRIBUTES:
                raise ChunkingError("extraction_failed", "a tag of the page has too many attributes")
