"""From a page's bytes to its text layer, title and language. Pure: no network, no dagster.

Two extractors for HTML: ours (structure.py), which keeps everything that is not furniture, for documentation and huge
pages, and trafilatura, which finds the article among teasers and comments. Markdown becomes HTML first and is read by
ours; plain text is taken as it is; JSON, XML and PDF have modules of their own. What share of the page's own
paragraphs was kept is measured for every page, since trafilatura silently drops most of some sites.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import trafilatura
from lxml import etree
from lxml import html as lxml_html
from markdown_it import MarkdownIt

from cixml_assets.data_formats import read_json, read_xml
from cixml_assets.dates import published_at, read_date
from cixml_assets.decoding import decode
from cixml_assets.html_tree import parse_html, refuse_attribute_bomb
from cixml_assets.pdf import read_pdf
from cixml_assets.structure import Block, Kind, blocks_of, fold, render
from cixml_assets.text_layer import clean_text, clean_title
from resources.errors import ChunkingError
from resources.media_types import HTML, JSON, MARKDOWN, PDF, PLAIN, XML, normal_type
from resources.types import NO_EXCLUSIONS, Exclusions, TextLayer

HUGE_CHARACTERS = 1_000_000  # trafilatura takes seconds above this: one 2.6 MB page took 8
HUGE_ELEMENTS = 50_000
MAX_ELEMENTS = 200_000  # our own walk takes about 20 us an element
LOW_COVERAGE = 0.5
COVERAGE_OF_TECHNICAL_PAGES = 0.97  # pages with code blocks: news has none, and documentation may not lose anything
OWN_SHARE_OF_REFERENCE = 0.2
MIN_PARAGRAPH_CHARACTERS = 25  # what counts as a paragraph of the page's own
MIN_PROSE_CHARACTERS = 80
MAX_SAMPLES = 400
_PROBE_CHARACTERS = 60

# Facts about the text (`title: x`) between two lines of dashes; without a colon those are rules around text.
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?=[\w-]+[ \t]*:)(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_FACT = re.compile(r"^(title|date):[ \t]*[\"']?(.*?)[\"']?[ \t]*$", re.MULTILINE)
MAX_MARKDOWN_NESTING = (
    40  # lists in lists count twice; what lies deeper is lost, and hostile text costs as much as this
)
_REFERENCE_GENERATORS = re.compile(
    r"docbook|publican|sphinx|docutils|mkdocs|docusaurus|vitepress|vuepress|doxygen|asciidoc|antora|javadoc|rustdoc|"
    r"mediawiki|pandoc|texinfo|makeinfo|gitbook|mdbook|jekyll|hugo|latex2html|tex4ht|dita|starlight",
    re.IGNORECASE,
)
# What documentation tools and wikis call elements, where they say no generator or sit beside social meta tags.
_REFERENCE_NAMES = re.compile(
    r"(?:class|id)=[\"'][^\"'>]{0,200}\b(?:rst-content|md-content|theme-doc-markdown|markdown-body|vp-doc|documentwrapper|"
    r"bodywrapper|mw-parser-output|docs-content|doc-content|sphinxsidebar|toctree-wrapper|headerlink|navheader|titlepage|"
    r"refnamediv|sl-markdown-content|markdown-section|nextra-content|mdx-content|devsite-article-body|awsdocs-container|"
    r"wiki-content|memitem|docblock|rustdoc|mdbook-content|node-up)\b"
)
_SOCIAL_META = (
    "//meta[starts-with(@property,'og:') or starts-with(@property,'article:') or starts-with(@name,'twitter:')]"
)
MAX_REFERENCE_SCRIPTS = 10  # pages of news sites and blogs have 9 to 73 and social meta tags, reference pages 0 to 9


def read_page(body: bytes, content_type: str, charset: str | None, exclusions: Exclusions = NO_EXCLUSIONS) -> TextLayer:
    """Return the text layer of a page. Raises ChunkingError: empty_text, extraction_failed, encoding_failed."""
    kind = normal_type(content_type) or HTML
    return read_pdf(body) if kind == PDF else extract(decode(body, kind, charset), kind, exclusions)


def extract(content: str, content_type: str = HTML, exclusions: Exclusions = NO_EXCLUSIONS) -> TextLayer:
    """Return the main text of a decoded page; `exclusions` are left out of HTML.

    Raises ChunkingError: empty_text, extraction_failed.
    """
    extraction = _read(content, content_type, exclusions)
    if not extraction.text:
        raise ChunkingError("empty_text", "the page holds no text")
    return extraction


def _read(content: str, content_type: str, exclusions: Exclusions) -> TextLayer:
    if content_type == MARKDOWN and len(content) <= HUGE_CHARACTERS:
        return _markdown(content)
    if content_type in (PLAIN, MARKDOWN):
        return _plain(content)
    if content_type == JSON:
        return read_json(content)
    if content_type == XML:
        return read_xml(content, _blocks_of_html)
    return _html(content, exclusions)


def _html(content: str, exclusions: Exclusions) -> TextLayer:
    refuse_attribute_bomb(content)
    tree = parse_html(content)
    date = published_at(tree)
    elements = sum(1 for _ in tree.iter())
    if elements > MAX_ELEMENTS:
        raise ChunkingError("extraction_failed", f"the page has {elements} elements: at most {MAX_ELEMENTS}")
    if exclusions.tags or exclusions.classes:
        _exclude(tree, exclusions)
        content = etree.tostring(tree, method="html", encoding="unicode")
    page = blocks_of(tree)
    is_huge = elements > HUGE_ELEMENTS or len(content) > HUGE_CHARACTERS
    text, coverage, extractor = _choose(content, tree, page, is_huge=is_huge)
    return TextLayer(
        text=text,
        title=_title(tree, page),
        language=_language(tree),
        coverage=round(coverage, 4),
        extractor=extractor,
        published_at=date,
    )


def coverage_of(page: Sequence[Block], text: str) -> float:
    """Return the share of the page's own paragraphs, items, rows and code found in a text, from at most 400 of them."""
    probes = _probes(page)
    if not probes:
        return 1.0
    squeezed = _squeeze(text)
    position = found = 0
    for probe in probes:
        at = squeezed.find(probe, position)  # in order, so most are found at once
        if at < 0:
            at = squeezed.find(probe, 0, position)
        if at >= 0:
            found, position = found + 1, at
    return found / len(probes)


def _probes(page: Sequence[Block]) -> list[str]:
    own = [
        block.text
        for block in page
        if block.is_own
        and block.kind != Kind.HEADING
        and block.link_share < 0.5
        and len(block.text) >= MIN_PARAGRAPH_CHARACTERS
    ]
    step = -(-len(own) // MAX_SAMPLES) or 1
    return [_probe(text) for text in own[::step]]


def _probe(text: str) -> str:
    """Return the start of a block without white space; of a row its longest cell, as cells are joined differently."""
    if " | " in text:
        text = max(text.split(" | "), key=len)
    return "".join(text[: 4 * _PROBE_CHARACTERS].split())[:_PROBE_CHARACTERS]


def _exclude(tree: etree._Element, exclusions: Exclusions) -> None:
    """Empty the elements of some tags and classes; the page and its body stay whatever they are called."""
    classes = set(exclusions.classes)
    kept = (tree, tree.find("body"))
    found = list(tree.iter(*exclusions.tags)) if exclusions.tags else []
    found += [each for each in tree.iter() if classes.intersection(str(each.get("class") or "").split())]
    for element in found:
        if element not in kept:
            element.clear(keep_tail=True)  # type: ignore[call-arg]  # the stubs are older
            element.tag = "span"


def _choose(content: str, tree: etree._Element, page: Sequence[Block], *, is_huge: bool) -> tuple[str, float, str]:
    """Return text, coverage and the name of the extractor whose result is taken."""
    own = clean_text(render(_without_link_lists([block for block in page if block.is_own])))
    if is_huge or (own and _is_reference(content, tree, page)):
        return own, coverage_of(page, own), "structure"
    code = {_squeeze(block.text): block.text for block in page if block.kind == Kind.CODE and block.is_own}
    article = _article(content, page, code, recall=False)
    coverage = coverage_of(page, article)
    if code and (
        coverage < COVERAGE_OF_TECHNICAL_PAGES or any(clean_text(each) not in article for each in code.values())
    ):
        content_of_page = clean_text(render(_without_link_lists(_content(page))))
        return content_of_page, coverage_of(page, content_of_page), "structure"
    if article and coverage >= LOW_COVERAGE:
        return article, coverage, "trafilatura"
    wider = _article(content, page, code, recall=True)
    wider_coverage = coverage_of(page, wider)
    if wider and wider_coverage > coverage:
        article, coverage = wider, wider_coverage
    return (article, coverage, "trafilatura") if article else (own, coverage_of(page, own), "structure")


def _content(page: Sequence[Block]) -> list[Block]:
    """Return the own blocks of the element that the page calls its content, where that holds half of them at least."""
    own = [block for block in page if block.is_own]
    content = [block for block in own if block.is_content]
    is_most = 2 * sum(len(block.text) for block in content) >= sum(len(block.text) for block in own)
    return content if is_most else own


def _article(content: str, page: Sequence[Block], code: Mapping[str, str], *, recall: bool) -> str:
    """Return trafilatura's text, in our own form: its headings, items and rows survive.

    It takes the indentation off code: `code` says how a block without white space is really written. It also loses
    headings in some boxes.
    """
    document = trafilatura.bare_extraction(
        parse_html(content, lxml_html.HTMLParser),
        fast=True,
        favor_recall=recall,
        include_comments=False,
        include_formatting=False,
        include_links=False,
    )
    if document is None or isinstance(document, dict):
        return ""
    blocks = blocks_of(document.body)
    if code:
        blocks = [_as_written(block, code) for block in blocks]
    return clean_text(render(_with_headings(blocks, page)))


def _with_headings(article: Sequence[Block], page: Sequence[Block]) -> Iterator[Block]:
    """Yield the blocks of an article, each below those headings of the page that it lost; <h1> is the title."""
    there = {_squeeze(block.text) for block in article}
    above: dict[str, list[Block]] = {}
    headings: list[Block] = []
    for block in page:
        if block.kind == Kind.HEADING:
            headings.append(block)
        elif headings:
            above.setdefault(_squeeze(block.text), headings)
            headings = []
    for block in article:
        for heading in above.pop(_squeeze(block.text), ()):
            if heading.is_own and heading.level > 1 and _squeeze(heading.text) not in there:
                yield heading
        yield block


def _as_written(block: Block, code: Mapping[str, str]) -> Block:
    written = code.get(_squeeze(block.text))
    return block if written is None else replace(block, kind=Kind.CODE, text=written)


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _is_reference(content: str, tree: etree._Element, page: Sequence[Block]) -> bool:
    """Say whether a page is documentation: all of it but the furniture is content, so nothing has to be guessed."""
    generator = str(tree.xpath("string(//meta[@name='generator']/@content)"))
    if generator:
        return _REFERENCE_GENERATORS.search(generator) is not None
    if _REFERENCE_NAMES.search(content):
        return True
    total = sum(len(block.text) for block in page)
    if sum(len(block.text) for block in page if block.is_own) < OWN_SHARE_OF_REFERENCE * total:
        return False
    scripts = sum(1 for _ in tree.iter("script"))
    return scripts <= MAX_REFERENCE_SCRIPTS and not tree.xpath(_SOCIAL_META)


def _without_link_lists(own: list[Block]) -> list[Block]:
    """Return own blocks without lists of links before the first paragraph and behind the last (site maps, menus).

    A page that is mostly links, as a table of contents, keeps them.
    """
    prose = [at for at, block in enumerate(own) if block.link_share < 0.5 and len(block.text) >= MIN_PROSE_CHARACTERS]
    if not prose:
        return own
    kept = [block for at, block in enumerate(own) if prose[0] < at < prose[-1] or not _is_link_item(block)]
    total = sum(len(block.text) for block in own)
    return kept if 2 * sum(len(block.text) for block in kept) >= total else own


def _is_link_item(block: Block) -> bool:
    return block.kind == Kind.ITEM and block.link_share > 0.8


def _title(tree: etree._Element, page: Sequence[Block], *, title: str = "") -> str | None:
    """Return the <h1> or the social title that <title> repeats with the site's name, else <title>, else a heading.

    `title` is what else is known of it.
    """
    named = fold(str(tree.xpath("string((//title[not(ancestor::svg)])[1])")))
    social = fold(str(tree.xpath("string(//meta[@property='og:title']/@content)")))
    headings = [block for block in page if block.kind == Kind.HEADING]
    firsts = sorted((block for block in headings if block.level == 1), key=lambda block: not block.is_own)
    if not named:
        found = [fold(block.text) for block in firsts] or [title, social, *(block.text for block in headings)]
        return clean_title(next(filter(None, found), ""))
    repeated = [text for block in firsts if (text := fold(block.text)) and text.casefold() in named.casefold()]
    if repeated:
        return clean_title(max(repeated, key=lambda text: named.casefold().startswith(text.casefold())))
    return clean_title(social if social and social.casefold() in named.casefold() else named)


_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(?![A-Za-z])")
_LANGUAGES = (
    "//body/@lang",
    "//meta[translate(@http-equiv,'CONTELAGU','contelagu')='content-language']/@content",
    "//meta[@property='og:locale']/@content",
)


def _language(tree: etree._Element) -> str | None:
    """Return the primary subtag of <html lang>, as `de`, else what the page says elsewhere."""
    root = tree if tree.tag == "html" else tree.getroottree().getroot()
    value = root.get("lang") or root.get("xml:lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or ""
    stated = (value, *(str(tree.xpath(f"string({path})")) for path in _LANGUAGES)) if not value else (value,)
    found = next(filter(None, (_LANGUAGE_TAG.match(each.strip()) for each in stated)), None)
    return found[0].lower() if found else None


def _markdown(content: str) -> TextLayer:
    """Read Markdown as the page that it stands for: CommonMark with tables, HTML in it included."""
    source = clean_text(content).lstrip()
    front_matter = _FRONT_MATTER.match(source)
    facts = dict(_FACT.findall(front_matter[0])) if front_matter else {}
    source = source[front_matter.end() :] if front_matter else source
    tree = parse_html(MarkdownIt("commonmark", {"maxNesting": MAX_MARKDOWN_NESTING}).enable("table").render(source))
    page = blocks_of(tree)
    text = clean_text(render(page))
    return TextLayer(
        text=text,
        title=_title(tree, page, title=facts.get("title", "")),
        language=None,
        coverage=1.0,
        extractor="markdown-it",
        published_at=read_date(facts.get("date", "")),
    )


def _plain(content: str) -> TextLayer:
    text = clean_text(content).strip()
    first = re.search(r"^(?:#\s+)?(\S.*)$", text, re.MULTILINE)
    title = clean_title(first[1]) if first else None
    return TextLayer(text=text, title=title, language=None, coverage=1.0, extractor="plain")


def _blocks_of_html(piece: str) -> str:
    """Return the text of HTML that stands in a feed. It may be anything: what is no HTML has no text."""
    refuse_attribute_bomb(piece)
    try:
        return clean_text(render(blocks_of(parse_html(piece))))
    except ChunkingError:
        return ""
