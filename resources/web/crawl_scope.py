"""Which of the URLs that a page names a crawl goes on to: hosts, patterns, depth, and what is a trap. Pure.

Traps are told by the URL alone, or by its family: URLs that differ in a date or in the values of their query only, of
which a crawl takes a bounded number. So a calendar or a shop's filters cost a crawl little, whatever they link to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ada_url import URL
from tld import get_fld

from resources.errors import InvalidUrlError
from resources.web.globs import matches
from resources.web.urls import ParsedUrl, normalize_escapes, parse_url

MAX_SEGMENTS = 24
MAX_REPEATS = 3  # of one segment in a path: relative links on a page that answers below itself repeat for ever
MAX_QUERY_CHARACTERS = 400
MAX_PARAMETERS = 8
DATE_FAMILY_URLS = 100
QUERY_FAMILY_URLS = 2000
_SESSION = re.compile(
    r"^(?:phpsessid|jsessionid|aspsessionid\w*|sess(?:ion)?_?id|sid|cfid|cftoken|zenid|oscsid)$", re.I
)
_PATH_SESSION = re.compile(r";(?:jsessionid|phpsessid|sid)=[^/?;]*", re.I)
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d(?:[-/_.]?(?:1[0-2]|0?[1-9])(?!\d)|(?!\d))")
_DATE_NAME = re.compile(r"(?:^|[-_\[])(?:year|month|week|day|date|calendar|ical|start|from|until)(?:$|[-_\]])", re.I)
_DIGITS = re.compile(r"\d+")
_NO_PAGE = re.compile(
    r"\.(?:7z|aac|apk|avi|bin|bmp|bz2|css|csv|deb|dll|dmg|doc[xm]?|eot|epub|exe|flac|flv|gif|gz|ico|iso|jar|jpe?g|js|m4[av]|"
    r"mid|mjs|mkv|mov|mp[34]|mpe?g|msi|odt|og[gv]|otf|png|pptx?|ps|rar|rpm|rss|so|svgz?|swf|tar|tgz|tiff?|ttf|txz|wav|webm|webp|"
    r"whl|wm[av]|woff2?|xlsx?|xz|zip|zst)$",
    re.I,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlRules:
    """What a job may crawl. `hosts` are those of its seeds, `seeds` the fingerprint of these."""

    mode: str
    max_depth: int
    max_pages: int
    include: Sequence[str]
    exclude: Sequence[str]
    same_host: bool
    hosts: Sequence[str]
    seeds: str = ""

    @property
    def follows_links(self) -> bool:
        return self.mode == "links"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUrl:
    """A URL that the crawl goes on to. Of a `family` it takes `family_urls` at most."""

    url: ParsedUrl
    family: str | None = None
    family_urls: int = 0


def found_urls(
    rules: CrawlRules, hrefs: Iterable[str], *, base: ParsedUrl, is_sitemap: bool = False
) -> Iterator[FoundUrl]:
    """Yield those URLs of a page (or sitemap) at `base` that are in scope, once each.

    Hosts are those of the seeds, and that of a page which was reached in scope: a seed may redirect to its real host.
    """
    hosts = {_place(host) for host in rules.hosts} | (set() if is_sitemap else {_place(_host(base))})
    seen = {base.key}
    for href in hrefs:
        try:
            url = parse_url(without_session(href), base=base.href)
        except InvalidUrlError:
            continue
        if url.key not in seen and is_in_scope(rules, url, hosts):
            seen.add(url.key)
            family, most = _family(url)
            yield FoundUrl(url=url, family=family, family_urls=most)


def is_in_scope(rules: CrawlRules, url: ParsedUrl, hosts: set[str]) -> bool:
    """Return whether a crawl may go on to a URL."""
    path, query = _path_and_query(url)
    return (
        is_on(url, hosts, same_host=rules.same_host)
        and (not rules.include or any(matches(pattern, path, query) for pattern in rules.include))
        and not any(matches(pattern, path, query) for pattern in rules.exclude)
        and _NO_PAGE.search(path) is None
        and not is_trap(path, query)
    )


def has_left(rules: CrawlRules, page: ParsedUrl, asked: ParsedUrl) -> bool:
    """Return whether a page's redirects led it off the hosts of the crawl."""
    return not is_on(page, {_place(_host(asked)), *map(_place, rules.hosts)}, same_host=rules.same_host)


def is_on(url: ParsedUrl, hosts: set[str], *, same_host: bool) -> bool:
    """Return whether a URL is on one of the hosts, `www.` or not; or else on a host of the same registrable domain."""
    own = _place(_host(url))
    return own in hosts or (not same_host and _domain(own) in {_domain(host) for host in hosts})


def is_trap(path: str, query: str) -> bool:
    """Return whether a URL looks like one of endlessly many."""
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > MAX_SEGMENTS or any(count > MAX_REPEATS for count in Counter(segments).values()):
        return True
    return len(query) > MAX_QUERY_CHARACTERS or query.count("&") >= MAX_PARAMETERS


def without_session(href: str) -> str:
    """Return the URL without session ids: they make a new URL of every page at every visit."""
    if ";" in href:
        href = _PATH_SESSION.sub("", href)
    before, mark, query = href.partition("?")
    if not mark:
        return href
    query, hash_mark, fragment = query.partition("#")
    kept = [pair for pair in query.split("&") if not _SESSION.match(pair.partition("=")[0])]
    if len(kept) == query.count("&") + 1:
        return href
    return before + ("?" + "&".join(kept) if kept else "") + hash_mark + fragment


def host_of(url: ParsedUrl) -> str:
    """Return the host as rules name it, with a port that is not the scheme's own."""
    return _host(url)


def _family(url: ParsedUrl) -> tuple[str | None, int]:
    path, query = _path_and_query(url)
    names = sorted({pair.partition("=")[0] for pair in query[1:].split("&")}) if query else []
    if _DATE.search(path + query) or any(_DATE_NAME.search(name) for name in names):
        return _DIGITS.sub("0", url.origin + path + query), DATE_FAMILY_URLS
    if names:
        return f"{url.origin}{path}?{'&'.join(names)}", QUERY_FAMILY_URLS
    return None, 0


def _path_and_query(url: ParsedUrl) -> tuple[str, str]:
    parsed = URL(url.href)
    return normalize_escapes(str(parsed.pathname)), normalize_escapes(str(parsed.search))


def _host(url: ParsedUrl) -> str:
    return url.origin.partition("://")[2]


def _place(host: str) -> str:
    return host.removeprefix("www.")


def _domain(host: str) -> str:
    """Return the registrable domain, or the host itself where it has none (an address, a name of an inner network)."""
    return get_fld(f"http://{host}/", fail_silently=True) or host
