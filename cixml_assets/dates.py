"""When a page was published, by what the page itself states in its markup. Pure; nothing is guessed from its text.

htmldate, which comes with trafilatura, also searches the text: it doubles the cost of an extraction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from lxml import etree

MAX_JSON_CHARACTERS = 500_000
MAX_JSON_NODES = 5_000
MIN_YEAR, MAX_YEAR = 1000, 9000
NO_OFFSET, MAX_OFFSET = timedelta(), timedelta(hours=15)  # what Postgres takes
MIN_PROSE_CHARACTERS = 80
# Names of <meta>, the surest first.
_META_NAMES = {
    name: rank
    for rank, name in enumerate(
        (
            "article:published_time", "og:article:published_time", "og:published_time", "published_time",
            "article:published", "datepublished", "citation_publication_date", "citation_online_date", "citation_date",
            "dcterms.issued", "dc.date.issued", "dc.date.published", "parsely-pub-date", "sailthru.date", "bt:pubdate",
            "cxenseparse:recs:publishtime", "pubdate", "publishdate", "publish-date", "publish_date",
            "publication-date", "publication_date",
            "dcterms.created", "dc.date.created", "dc.created", "dcterms.date", "dc.date", "date",
        )
    )
}  # fmt: skip
_CHANGED = re.compile(r"updated|modified|edited", re.IGNORECASE)
_PUBLISHED = re.compile(r"published|pubdate|entry-date|post-date|dt-published", re.IGNORECASE)
_PUBLISHED_IN_JSON = re.compile(r'"datePublished"\s*:\s*"([^"]{4,60})"')
_YEAR_FIRST = re.compile(r"(\d{4})[/.](\d\d?)[/.](\d\d?)(?=\D|\Z)")
_ZONE_APART = re.compile(r"(?<=\d) (?=[+-]\d\d:?\d\d\Z)|(?:(?<=\d) ?(?:UTC|GMT)\Z)")
_ZONE_NAME = re.compile(r"(?<=\d) [A-Z]{3,5}(?= \d{4}\Z)")
_FORMATS = ("%d.%m.%Y", "%B %d, %Y", "%d %B %Y", "%d. %B %Y", "%b %d, %Y", "%d %b %Y", "%a %b %d %H:%M:%S %Y")
_MAX_CHARACTERS = 60
_NOTHING = datetime(1970, 1, 1, tzinfo=UTC)  # what systems write that know no date


def published_at(tree: etree._Element) -> datetime | None:
    """Return the date in <meta>, JSON-LD, microdata or <time> of a page; None when it states none."""
    found = (date for text in _statements(tree) if (date := read_date(text)) is not None)
    return next(found, None)


def read_date(text: str) -> datetime | None:
    """Read ISO 8601, RFC 2822 and a few usual forms; without a zone it is UTC. None: it is no date, or not a sane one.

    What may be month or day first, as 05/06/2021, is none.
    """
    date = _parsed(" ".join(text.split()))
    if date is None or not MIN_YEAR <= date.year <= MAX_YEAR:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    is_sane = abs(date.utcoffset() or NO_OFFSET) <= MAX_OFFSET and date != _NOTHING
    return date if is_sane else None


def _parsed(text: str) -> datetime | None:
    if not 8 <= len(text) <= _MAX_CHARACTERS:  # shorter ones are years and months
        return None
    if text[:4].isdigit():
        iso = _YEAR_FIRST.sub(_dashed, text, count=1) if text[4:5] in "/." else text
        return _by_iso(_ZONE_APART.sub(_zone, iso, count=1))
    plain = _ZONE_NAME.sub("", text)
    for form in _FORMATS:
        try:
            return datetime.strptime(plain, form)
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(text) if ":" in text else None
    except (ValueError, TypeError, OverflowError):
        return None


def _dashed(match: re.Match[str]) -> str:
    return f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}"


def _zone(match: re.Match[str]) -> str:
    return "+00:00" if match[0].strip() else ""


def _by_iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _statements(tree: etree._Element) -> Iterator[str]:
    """Yield what may be the date of publication, the surest first."""
    yield from _in_meta(tree)
    yield from _in_json(tree)
    yield from _in_microdata(tree)
    yield from _in_times(tree)


def _in_meta(tree: etree._Element) -> list[str]:
    found: list[tuple[int, str]] = []
    for meta in tree.iter("meta"):
        name = meta.get("property") or meta.get("name") or ""
        rank = _META_NAMES.get(str(name[:_MAX_CHARACTERS]).strip().lower())
        if rank is not None:
            found.append((rank, str(meta.get("content") or "")))
    return [text for _, text in sorted(found, key=lambda pair: pair[0])]


def _in_json(tree: etree._Element) -> Iterator[str]:
    for script in tree.iter("script"):
        content = script.text or ""
        is_linked_data = "ld+json" in str(script.get("type") or "")
        if not is_linked_data or len(content) > MAX_JSON_CHARACTERS or "datePublished" not in content:
            continue
        try:
            yield from _published_in(json.loads(content, strict=False))
        except (ValueError, RecursionError):
            yield from _PUBLISHED_IN_JSON.findall(content)[:1]


def _published_in(data: object) -> Iterator[str]:
    """Yield the dates of JSON-LD, outer objects before inner ones: comments and reviews have dates, too."""
    level = [data]
    seen = 0
    while level and seen < MAX_JSON_NODES:
        below: list[object] = []
        for node in level:
            if isinstance(node, dict):
                if isinstance(node.get("datePublished"), str):
                    yield node["datePublished"]
                below += node.values()
            elif isinstance(node, list):
                below += node
        seen += len(level)
        level = below


def _in_microdata(tree: etree._Element) -> Iterator[str]:
    for element in tree.iter("meta", "time", "span", "div", "p", "abbr"):
        if element.get("itemprop") == "datePublished":
            yield str(element.get("content") or element.get("datetime") or element.text or "")


def _in_times(tree: etree._Element) -> Iterator[str]:
    """Yield the <time> above the first paragraph of the page's only article, or one that says that it is it."""
    articles = [each for each in tree.iter("article") if next(each.iterancestors("article"), None) is None]
    if len(articles) > 1:
        return  # a list of articles
    roots = [*articles, *tree.iter("main"), tree]
    is_in_prose = False
    for element in roots[0].iter("time", "p"):
        if element.tag == "p":
            is_in_prose = is_in_prose or len("".join(map(str, element.itertext()))) >= MIN_PROSE_CHARACTERS
            continue
        name = f"{element.get('class') or ''} {'pubdate' if 'pubdate' in element.attrib else ''}"
        if not _CHANGED.search(name) and (not is_in_prose or _PUBLISHED.search(name)):
            yield str(element.get("datetime") or "")
