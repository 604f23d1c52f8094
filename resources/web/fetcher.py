"""Fetching a page: URL check, robots.txt, politeness, one guarded GET per hop, and a page or a ScrapingError."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from resources.errors import InvalidUrlError, ScrapingError
from resources.media_types import HTML
from resources.settings import FetchSettings
from resources.types import FetchedPage, RobotsVerdict
from resources.web.addresses import AddressPolicy
from resources.web.answers import (
    REDIRECT_STATUSES,
    check_content_type,
    check_status,
    content_type_of,
    location_of,
    true_content_type,
)
from resources.web.backend import Resolver
from resources.web.body import read_body
from resources.web.client import Answer, GuardedClient, Header
from resources.web.page_head import PageHead, read_head
from resources.web.politeness import HostGates, ScriptRunner
from resources.web.robots import product_token
from resources.web.robots_gate import RobotsGate
from resources.web.robots_tags import tags_of_head, tags_of_headers
from resources.web.urls import ParsedUrl, is_robots_file, parse_url

_ACCEPT = (
    b"text/html,application/xhtml+xml,text/markdown,application/pdf;q=0.9,text/plain;q=0.9,application/xml;q=0.8,"
    b"application/json;q=0.8"
)
MAX_VALIDATOR_CHARACTERS = 1024
MAX_SITEMAP_BYTES = 50 * 2**20  # sitemaps.org 0.9


class Fetcher:
    """Fetches pages over one shared pool of connections. Belongs to one event loop; close it with `aclose()`."""

    def __init__(
        self,
        settings: FetchSettings,
        *,
        own_endpoints: frozenset[tuple[str, int]],
        resolve: Resolver | None = None,
        scripts: ScriptRunner | None = None,
        processes: int = 1,
    ) -> None:
        """Without `scripts` (Redis) the process takes its part of each host: one of `processes`."""
        self._settings = settings
        policy = AddressPolicy(settings.allowed, own_endpoints, denied=settings.denied)
        self._client = GuardedClient(settings, policy, resolve=resolve)
        self._gates = HostGates(settings.host_concurrency, scripts=scripts, processes=processes)
        self._robots = RobotsGate(self._client, self._gates, settings)
        self._agent = product_token(settings.user_agent)
        self._headers: tuple[Header, ...] = (
            (b"User-Agent", settings.agent_header.encode()),
            (b"Accept", _ACCEPT),
            (b"Accept-Encoding", b"gzip"),
        )

    async def aclose(self) -> None:
        await self._gates.aclose()
        await self._client.aclose()

    async def fetch(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        validated_url: str | None = None,
        on_turn: Callable[[], None] = lambda: None,
        is_sitemap: bool = False,
    ) -> FetchedPage:
        """Fetch a page; with the validators of an earlier answer, `body` is None when it did not change.

        A sitemap, or a robots.txt that names some, may be of any type and larger than a page.

        They are sent to the URL that gave them alone (`validated_url`, the page's own if not given): elsewhere the same
        ETag may stand for another page. `on_turn` is called when the host may be asked: before, the page only waits.

        Raises InvalidUrlError for a URL that can't be fetched at all, ScrapingError for everything else.
        """
        first = parse_url(url)
        validators = _validators(etag, last_modified)
        deadline = _Deadline(self._settings.total_timeout_seconds)
        current = first
        seen = {first.href}
        for _ in range(self._settings.max_redirects + 1):
            known = validators if current.href == (validated_url or first.href) else ()
            try:
                page = await self._hop(first, current, known, deadline, on_turn, is_sitemap=is_sitemap)
            except ScrapingError as error:
                error.is_of_redirect = current.host != first.host
                raise
            if isinstance(page, FetchedPage):
                return page
            if page.href in seen:
                raise ScrapingError("redirect_loop", "the page redirects in a circle")
            seen.add(page.href)
            current = page
        raise ScrapingError("redirect_loop", f"the page redirects more than {self._settings.max_redirects} times")

    async def _hop(
        self,
        first: ParsedUrl,
        url: ParsedUrl,
        validators: Sequence[Header],
        deadline: _Deadline,
        on_turn: Callable[[], None],
        *,
        is_sitemap: bool,
    ) -> FetchedPage | ParsedUrl:
        """Ask one URL; return the page, or where it redirects to."""
        robots, delay_seconds = await self._robots.ask(url)
        if not robots.allowed and not (is_sitemap and is_robots_file(url)):
            refusal = ScrapingError("robots_disallowed", f"robots.txt disallows the URL ({robots.rule})")
            refusal.robots = robots
            raise refusal
        host = (url.host, url.port)
        delay_seconds = max(delay_seconds, self._settings.host_delay_seconds)
        async with self._gates.turn(host, delay_seconds=delay_seconds):
            on_turn()
            try:
                async with deadline.spend(), self._client.get(url, (*self._headers, *validators)) as answer:
                    if answer.status in REDIRECT_STATUSES:
                        return _redirect_target(answer, url)
                    check_status(answer, is_conditional=bool(validators))
                    page = await self._page(first, url, robots, answer, is_sitemap=is_sitemap)
                    return page if is_sitemap else self._with_asked(page, url, answer)
            except ScrapingError as error:
                error.robots = robots
                if error.retryable and error.retry_after_seconds:
                    pause_seconds = min(error.retry_after_seconds, self._settings.max_retry_after_seconds)
                    await self._gates.hold(host, pause_seconds)
                raise

    async def _page(
        self, first: ParsedUrl, url: ParsedUrl, robots: RobotsVerdict, answer: Answer, *, is_sitemap: bool
    ) -> FetchedPage:
        content_type, charset = content_type_of(answer)
        body: bytes | None = None
        if is_sitemap:  # whatever its type says: it is read for URLs alone
            body = await read_body(answer, max_bytes=MAX_SITEMAP_BYTES)
        elif answer.status != 304:
            declared = check_content_type(content_type)
            body = await read_body(answer, max_bytes=self._settings.max_body_bytes)
            content_type = true_content_type(body, declared)
        return FetchedPage(
            url=first.href,
            final_url=url.href,
            status=answer.status,
            body=body,
            content_type=content_type,
            charset=charset,
            etag=answer.headers.get("etag"),
            last_modified=answer.headers.get("last-modified"),
            robots=robots,
            fetched_at=datetime.now(UTC),
        )

    def _with_asked(self, page: FetchedPage, base: ParsedUrl, answer: Answer) -> FetchedPage | ParsedUrl:
        """Return the page with what it asks of robots, or where it sends its reader on to, as a redirect does."""
        head = read_head(page.body) if page.body and page.content_type == HTML else PageHead()
        target = _refresh_target(head, base)
        if target is not None:
            return target
        tags = tags_of_headers(answer.robots_tags, agent=self._agent) | tags_of_head(head.named, agent=self._agent)
        return replace(page, is_noindex=tags.is_noindex, is_nofollow=tags.is_nofollow)


@dataclass(slots=True)
class _Deadline:
    """The time that a page itself may take in all: a drip of one byte a second trips no per-read time-out.

    A page that needs longer is too slow and not asked for again; silence, which may pass, ends sooner.

    Waiting for a polite turn is not counted: that is our doing, not the page's.
    """

    remaining_seconds: float

    @asynccontextmanager
    async def spend(self) -> AsyncIterator[None]:
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.remaining_seconds):
                yield
        except TimeoutError as error:
            raise ScrapingError("timeout", "the page took too long in all") from error
        finally:
            self.remaining_seconds -= time.monotonic() - started


def _redirect_target(answer: Answer, base: ParsedUrl) -> ParsedUrl:
    location = location_of(answer)
    if location is None:
        text = f"the server answered {answer.status} without a Location"
        raise ScrapingError("redirect_blocked", text, http_status=answer.status)
    try:
        return parse_url(location, base=base.href)
    except InvalidUrlError as error:
        text = f"the page redirects to a URL that is not fetched: {error.message}"
        raise ScrapingError("redirect_blocked", text, http_status=answer.status) from error


def _refresh_target(head: PageHead, base: ParsedUrl) -> ParsedUrl | None:
    if head.refresh is None:
        return None
    try:
        found = parse_url(head.refresh, base=base.href)
    except InvalidUrlError:
        return None
    return None if found.href == base.href else found  # a page that renews itself stays


def _validators(etag: str | None, last_modified: str | None) -> tuple[Header, ...]:
    """Return the conditional headers. A validator that is no clean header value is left out: the page comes whole."""
    pairs = ((b"If-None-Match", etag), (b"If-Modified-Since", last_modified))
    return tuple((name, value.encode()) for name, value in pairs if value and _is_clean(value))


def _is_clean(value: str) -> bool:
    return value.isascii() and value.isprintable() and len(value) <= MAX_VALIDATOR_CHARACTERS
