"""What robots.txt says of a URL: the file is fetched once per scheme, host and port, kept, and asked.

RFC 9309 2.3.1: 4xx allows everything, 5xx and an unreachable server refuse everything (retryable here),
up to five redirects are followed, each through the same guarded client.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from resources.errors import InvalidUrlError, ScrapingError
from resources.settings import FetchSettings
from resources.types import RobotsVerdict
from resources.web.body import read_body
from resources.web.client import Answer, GuardedClient, Header
from resources.web.robots import MAX_ROBOTS_BYTES, RobotsRules, parse_robots, product_token
from resources.web.urls import ParsedUrl, parse_url

MAX_REDIRECTS = 5  # RFC 9309 2.3.1.2
UNREACHABLE_TTL_SECONDS = 30.0  # a batch asks once, a retry asks again
MAX_ORIGINS = 4096
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Failures of the host itself: the page can't be fetched either, and these say why better than robots_unreachable.
_OF_THE_HOST = frozenset({"address_blocked", "dns_failed", "connect_failed", "tls_failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsFile:
    """A robots.txt as fetched. `text` is None where the server has none (4xx)."""

    text: str | None
    fetched_at: datetime


class RobotsStore(Protocol):
    """Keeps robots.txt files for all processes of the product. `get` returns nothing older than its ttl."""

    async def get(self, origin: str) -> RobotsFile | None: ...

    async def put(self, origin: str, file: RobotsFile, *, ttl_seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    rules: RobotsRules
    has_file: bool
    fetched_at: datetime
    until: float
    failure: ScrapingError | None = None


class RobotsGate:
    """Asks robots.txt. Parsed rules are kept in the process; `store` shares the files between processes."""

    def __init__(self, client: GuardedClient, settings: FetchSettings, *, store: RobotsStore | None = None) -> None:
        self._client = client
        self._store = store
        self._agent = product_token(settings.user_agent)
        self._headers: Sequence[Header] = (
            (b"User-Agent", settings.user_agent.encode("latin-1", "replace")),
            (b"Accept-Encoding", b"gzip"),
        )
        self._ttl_seconds = settings.robots_ttl_seconds
        self._timeout_seconds = settings.read_timeout_seconds
        self._max_delay_seconds = settings.max_crawl_delay_seconds
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._loading: dict[str, asyncio.Lock] = {}

    async def ask(self, url: ParsedUrl) -> tuple[RobotsVerdict, float]:
        """Return the verdict and the crawl delay in seconds, capped. Raises ScrapingError(robots_unreachable)."""
        known = await self._rules(url)
        if known.failure is not None:
            raise known.failure.with_traceback(None)  # raised for many pages, it would gather all their tracebacks
        rule = known.rules.match(url.href)
        reason = str(rule) if rule else "no rule for this URL" if known.has_file else "no robots.txt"
        verdict = RobotsVerdict(allowed=rule is None or rule.allows, rule=reason, fetched_at=known.fetched_at)
        return verdict, min(known.rules.crawl_delay_seconds, self._max_delay_seconds)

    async def _rules(self, url: ParsedUrl) -> _Known:
        known = self._fresh(url.origin)
        if known is not None:
            return known
        lock = self._loading.setdefault(url.origin, asyncio.Lock())
        try:
            async with lock:  # one fetch, however many pages of the host wait
                known = self._fresh(url.origin)
                if known is None:
                    known = await self._load(url)
                    self._keep(url.origin, known)
                return known
        finally:
            if not lock.locked():
                self._loading.pop(url.origin, None)

    def _fresh(self, origin: str) -> _Known | None:
        known = self._known.get(origin)
        return known if known is not None and known.until > time.monotonic() else None

    def _keep(self, origin: str, known: _Known) -> None:
        self._known[origin] = known
        self._known.move_to_end(origin)
        while len(self._known) > MAX_ORIGINS:
            self._known.popitem(last=False)

    async def _load(self, url: ParsedUrl) -> _Known:
        file = await self._store.get(url.origin) if self._store else None
        if file is None:
            try:
                file = await self._fetch(url)
            except ScrapingError as error:
                return self._unreachable(error)
            if self._store:
                await self._store.put(url.origin, file, ttl_seconds=self._ttl_seconds)
        age_seconds = (datetime.now(UTC) - file.fetched_at).total_seconds()
        return _Known(
            rules=parse_robots(file.text or "", agent=self._agent),
            has_file=file.text is not None,
            fetched_at=file.fetched_at,
            until=time.monotonic() + max(1.0, self._ttl_seconds - age_seconds),
        )

    def _unreachable(self, error: ScrapingError) -> _Known:
        failure = error
        if error.code not in _OF_THE_HOST:
            text = f"robots.txt can't be read, so nothing of this host is fetched now: {error.message}"
            failure = ScrapingError(
                "robots_unreachable",
                text,
                retryable=True,
                http_status=error.http_status,
                retry_after_seconds=error.retry_after_seconds,
            )
        until = time.monotonic() + UNREACHABLE_TTL_SECONDS
        return _Known(rules=RobotsRules(), has_file=False, fetched_at=datetime.now(UTC), until=until, failure=failure)

    async def _fetch(self, url: ParsedUrl) -> RobotsFile:
        target = parse_url(f"{url.origin}/robots.txt")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                for _ in range(MAX_REDIRECTS + 1):
                    async with self._client.get(target, self._headers) as answer:
                        if answer.status not in _REDIRECTS:
                            return await self._read(answer)
                        target = _redirect(answer, target)
        except TimeoutError as error:
            raise ScrapingError("timeout", "the server did not answer in time", retryable=True) from error
        return RobotsFile(text=None, fetched_at=datetime.now(UTC))  # too many redirects: as if there were none

    async def _read(self, answer: Answer) -> RobotsFile:
        if answer.status >= 500 or answer.status == 429:
            raise ScrapingError("http_5xx", f"the server answered {answer.status}", http_status=answer.status)
        if answer.status != 200:
            return RobotsFile(text=None, fetched_at=datetime.now(UTC))
        body = await read_body(answer, max_bytes=MAX_ROBOTS_BYTES, truncate=True)
        return RobotsFile(text=body.decode("utf-8-sig", "replace"), fetched_at=datetime.now(UTC))


def _redirect(answer: Answer, base: ParsedUrl) -> ParsedUrl:
    try:
        return parse_url(answer.headers.get("location", ""), base=base.href)
    except InvalidUrlError as error:
        raise ScrapingError("redirect_blocked", f"robots.txt redirects to no fetchable URL: {error.message}") from error
