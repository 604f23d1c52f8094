"""What a crawl does with what was fetched: reads links and sitemaps, and adds what they name to their job.

Reading is the extractor's, before the transaction; adding is of the transaction that stores the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.errors import ChunkingError, ExtractorUnavailableError, ScrapingError
from resources.media_types import HTML
from resources.orchestration.lease import Lease
from resources.orchestration.runtime import runtime
from resources.orchestration.streams import FetchOutcome, FetchStream, Finding, LinkReader
from resources.postgres import crawls
from resources.postgres.crawls import FoundItem, StoredPage
from resources.postgres.items import EndedItem, ItemEnd
from resources.postgres.pages import FetchItem
from resources.types import FetchedPage, ItemStatus, PageLinks
from resources.web.crawl_scope import CrawlRules, FoundUrl, found_urls, has_left, is_on
from resources.web.page_head import read_head
from resources.web.robots import product_token
from resources.web.robots_tags import tags_of_head
from resources.web.urls import ParsedUrl, is_robots_file, parse_url

MAX_SITEMAP_NESTING = 3  # robots.txt, an index, its sitemaps
READS_AT_ONCE = 3
STORED_AT_ONCE = 8  # pages that came unchanged: their bytes are in memory together
READ_TRIES = 2  # a worker that dies may have died of its neighbour's page
_NOINDEX = "robots_noindex"
# Of pages that nobody asked for by name: no failures.
_LEFT_OUT = frozenset({"robots_disallowed", _NOINDEX, "unsupported_type"})
_GONE = frozenset({404, 410})


def read(stream: FetchStream, group: Sequence[FetchOutcome]) -> list[FetchOutcome]:
    """Return the outcomes, those of crawls with what was found in them. What came unchanged is read as stored."""
    crawling = [outcome for outcome in group if outcome.item.crawl is not None and outcome.item.depth is not None]
    reader = stream.reader
    if not crawling or reader is None:
        return list(group)
    found: dict[UUID, FetchOutcome] = {}
    for start in range(0, len(crawling), STORED_AT_ONCE):
        few = crawling[start : start + STORED_AT_ONCE]
        found |= _read_few(stream.lease, reader, few)
    outcomes = [_with_known(stream.lease, found.get(outcome.item.item_id, outcome)) for outcome in group]
    return _without_spent_canonicals(stream.lease, outcomes)


def _read_few(lease: Lease, reader: LinkReader, outcomes: Sequence[FetchOutcome]) -> dict[UUID, FetchOutcome]:
    stored = _stored_pages(lease, outcomes)
    ready = runtime().loop.map(outcomes, lambda outcome: _read(reader, outcome, stored), width=READS_AT_ONCE)
    return {outcome.item.item_id: outcome for outcome in ready}


def naming(outcomes: Sequence[FetchOutcome]) -> list[FetchOutcome]:
    """Return the outcomes whose pages name something to go on to."""
    return [outcome for outcome in outcomes if outcome.finding is not None and outcome.finding.names]


def take_turns(connection: Connection[TupleRow], naming: Sequence[FetchOutcome], *, queued_pages: int) -> None:
    """Take the locks of the quotas that `add_found` counts, before all others; in one order, as every run does."""
    if queued_pages:
        for caller_id in sorted({outcome.item.caller_id for outcome in naming}):
            crawls.take_turn(connection, caller_id=caller_id)


def add_found(connection: Connection[TupleRow], naming: Sequence[FetchOutcome], *, queued_pages: int) -> None:
    """Add what pages name to their jobs, whose locks are held."""
    room: dict[str, int] = {}
    for outcome in naming:
        item_id, finding, caller_id = outcome.item.item_id, outcome.finding, outcome.item.caller_id
        assert finding is not None
        if caller_id not in room:
            room[caller_id] = crawls.room_of_caller(connection, caller_id=caller_id, queued_pages=queued_pages)
        room[caller_id] -= crawls.add(connection, parent_id=item_id, found=finding.names, room=room[caller_id]).pages


def end_of(outcome: FetchOutcome) -> ItemEnd | None:
    """Return the end of a page that is gone and of an item of a crawl that makes no document.

    None for one that goes the way of every page.
    """
    item, page, finding = outcome.item, outcome.page, outcome.finding
    if _is_gone(outcome):
        return _skipped(outcome, error=outcome.error, change="removed")
    if item.depth is None:
        return None
    if outcome.error is not None:
        if item.depth > 0 and not item.is_sitemap and outcome.error.code in _LEFT_OUT:
            return _skipped(outcome, error=outcome.error)
        return None
    if item.is_sitemap or page is None:
        return _skipped(outcome)
    if finding is not None and finding.left_out is not None:
        return _skipped(outcome, error=finding.left_out)
    return None


def _is_gone(outcome: FetchOutcome) -> bool:
    """Return whether a page of the corpus is to leave it: it asks not to be indexed, or a crawl finds it missing."""
    item, error = outcome.item, outcome.error
    if item.live_version_id is None or error is None:
        return False
    return error.code == _NOINDEX or (item.depth is not None and error.http_status in _GONE)


def end_duplicate(lease: Lease, connection: Connection[TupleRow], outcome: FetchOutcome) -> list[EndedItem]:
    """End a page that names another one as its canonical address: that one, which is an item now, stands for it.

    Where that one turns out to stand for nothing itself the page is taken another time, as it is.
    """
    assert outcome.finding is not None
    assert outcome.finding.canonical is not None
    item_id, key = outcome.item.item_id, outcome.finding.canonical.url_key
    other = crawls.standing_item(connection, item_id=item_id, url_key=key)
    if other is None:
        return lease.release(connection, [item_id], reason="canonical_is_missing")
    return lease.end_items(connection, [_skipped(outcome, duplicate_of=other)])


def release(lease: Lease, connection: Connection[TupleRow], outcome: FetchOutcome) -> list[EndedItem]:
    """Give back a page that could not be read for its links: the extractor comes back."""
    assert outcome.finding is not None
    error = outcome.finding.interruption
    assert error is not None
    return lease.release(connection, [outcome.item.item_id], delay_seconds=error.retry_after_seconds, reason=error.code)


def _with_known(lease: Lease, outcome: FetchOutcome) -> FetchOutcome:
    """Add to a first page of a crawl by links what the same crawl found before: what nobody links now may be gone."""
    item, finding = outcome.item, outcome.finding
    if finding is None or item.depth != 0 or not CrawlRules(**(item.crawl or {})).follows_links:
        return outcome
    with lease.reading() as connection:
        known = crawls.known_pages(connection, item_id=item.item_id)
    return replace(outcome, finding=replace(finding, found=[*finding.found, *known]))


def _without_spent_canonicals(lease: Lease, outcomes: Sequence[FetchOutcome]) -> list[FetchOutcome]:
    """Forget canonical addresses that stand for nothing, as where two pages name each other: one of them is taken."""
    canonical = {
        outcome.item.item_id: outcome.finding.canonical.url_key
        for outcome in outcomes
        if outcome.finding is not None and outcome.finding.canonical is not None
    }
    if not canonical:
        return list(outcomes)
    with lease.reading() as connection:
        spent = crawls.spent_keys(connection, keys=canonical)
    return [
        replace(outcome, finding=replace(outcome.finding, canonical=None))
        if outcome.item.item_id in spent and outcome.finding is not None
        else outcome
        for outcome in outcomes
    ]


def _skipped(
    outcome: FetchOutcome,
    *,
    error: ScrapingError | None = None,
    change: str | None = None,
    duplicate_of: UUID | None = None,
) -> ItemEnd:
    page = outcome.page
    return ItemEnd(
        item_id=outcome.item.item_id,
        status=ItemStatus.SKIPPED,
        change=change,
        error=error.as_record() if error else None,
        duplicate_of=duplicate_of,
        document_id=outcome.item.document_id if change else None,
        http_status=page.status if page else error.http_status if error else None,
        final_url=page.final_url if page else None,
        robots=outcome.robots,
        fetched_at=page.fetched_at if page else None,
    )


def _stored_pages(lease: Lease, outcomes: Sequence[FetchOutcome]) -> Mapping[UUID, StoredPage]:
    versions = [
        outcome.item.live_version_id
        for outcome in outcomes
        if outcome.page is not None and outcome.page.body is None and outcome.item.live_version_id is not None
    ]
    if not versions:
        return {}
    with lease.reading() as connection:
        return crawls.stored_pages(connection, version_ids=versions)


async def _read(reader: LinkReader, outcome: FetchOutcome, kept: Mapping[UUID, StoredPage]) -> FetchOutcome:
    item, page = outcome.item, outcome.page
    rules = CrawlRules(**(item.crawl or {}))
    if page is None:
        return _without_robots_file(outcome)
    page_url = parse_url(page.final_url)
    if not item.is_sitemap and item.depth and has_left(rules, page_url, parse_url(page.url)):
        left = ScrapingError("out_of_scope", "the page redirects to a host that the crawl does not go to")
        return replace(outcome, finding=Finding(left_out=left))
    stored = kept.get(item.live_version_id) if item.live_version_id and page.body is None else None
    try:
        links = await _links(reader, item, page, stored)
    except ExtractorUnavailableError as error:
        return replace(outcome, finding=Finding(interruption=error))
    except ChunkingError as error:
        if item.is_sitemap:
            broken = ScrapingError("sitemap_invalid", error.message)
            return replace(outcome, page=None, error=broken)
        return outcome  # what is wrong with the page, extraction will say
    if _is_nofollow(page, stored):
        links = replace(links, pages=[])
    found = _finding(rules, item, page_url, links)
    return replace(outcome, finding=replace(found, canonical=None) if page.is_noindex else found)


def _is_nofollow(page: FetchedPage, stored: StoredPage | None) -> bool:
    """Return whether a page asks to follow none of its links; one that came unchanged says so as it is stored."""
    if page.is_nofollow or stored is None or stored.content_type != HTML:
        return page.is_nofollow
    agent = product_token(runtime().settings.fetch.user_agent)
    return tags_of_head(read_head(stored.body).named, agent=agent).is_nofollow


async def _links(reader: LinkReader, item: FetchItem, page: FetchedPage, stored: StoredPage | None) -> PageLinks:
    body = page.body if stored is None else stored.body
    if body is None:
        return PageLinks()
    content_type = page.content_type if stored is None else stored.content_type
    charset = page.charset if stored is None else stored.charset
    for attempt in range(READ_TRIES):
        try:
            return await reader(
                kind=item.kind, body=body, content_type=content_type, charset=charset, url=page.final_url
            )
        except ChunkingError as error:
            if not error.retryable or attempt + 1 == READ_TRIES:
                raise
    raise AssertionError("the last try returns or raises")


def _without_robots_file(outcome: FetchOutcome) -> FetchOutcome:
    """Return the finding of a host that has no robots.txt: its sitemap is where all have it."""
    item, error = outcome.item, outcome.error
    if not item.is_sitemap or item.url is None or error is None or error.code != "http_4xx":
        return outcome
    asked = parse_url(item.url)
    if not is_robots_file(asked):
        return outcome
    usual = parse_url("/sitemap.xml", base=asked.href)
    return replace(outcome, error=None, finding=Finding(found=[_item(usual, kind="sitemap")]))


def _finding(rules: CrawlRules, item: FetchItem, base: ParsedUrl, links: PageLinks) -> Finding:
    assert item.depth is not None
    if item.is_sitemap:
        nested = _sitemaps(rules, base, links) if item.depth < MAX_SITEMAP_NESTING else []
        named = (_page(found) for found in found_urls(rules, links.pages, base=base, is_sitemap=True))
        return Finding(found=[*nested, *named])
    found: list[FoundItem] = []
    if rules.follows_links and item.depth < rules.max_depth:
        found = [_page(each) for each in found_urls(rules, links.pages, base=base)]
    if item.depth == 0 or item.live_version_id is not None:
        return Finding(found=found)  # asked for by name, or in the corpus already
    return Finding(found=found, canonical=_canonical(rules, item, base, links))


def _sitemaps(rules: CrawlRules, base: ParsedUrl, links: PageLinks) -> Iterator[FoundItem]:
    """Yield the sitemaps that another names: a robots.txt those of any host, an index those of its own."""
    own = {base.origin.partition("://")[2]}
    for href in links.sitemaps:
        url = parse_url(href)
        if is_robots_file(base) or is_on(url, own, same_host=rules.same_host):
            yield _item(url, kind="sitemap")


def _canonical(rules: CrawlRules, item: FetchItem, base: ParsedUrl, links: PageLinks) -> FoundItem | None:
    """Return the address that a page says is its real one, where that is another and in scope."""
    if links.canonical is None:
        return None
    found = next(found_urls(rules, [links.canonical], base=base), None)
    return None if found is None or found.url.key == item.url_key else _page(found)


def _page(found: FoundUrl) -> FoundItem:
    return _item(found.url, family=found.family, family_urls=found.family_urls)


def _item(url: ParsedUrl, *, kind: str = "page", family: str | None = None, family_urls: int = 0) -> FoundItem:
    return FoundItem(url=url.href, url_key=url.key, host=url.host, kind=kind, family=family, family_urls=family_urls)
