"""What robots.txt says of a URL: the file is fetched once per scheme, host and port, kept, and asked.

RFC 9309 2.3.1: 4xx allows everything, 5xx and an unreachable server refuse everything (retryable here),
up to five redirects are followed, each through the same guarded client. 429 is no answer but a "later", as 503 is.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from resources.errors import HostPausedError, InvalidUrlError, ScrapingError
from resources.settings import FetchSettings
from resources.types import RobotsVerdict
from resources.web.answers import REDIRECT_STATUSES, location_of, retry_after_seconds
from resources.web.body import read_body
from resources.web.client import Answer, GuardedClient, Header
from resources.web.politeness import HostGates
from resources.web.robots import MAX_ROBOTS_BYTES, RobotsRules, parse_robots, product_token
from resources.web.urls import ParsedUrl, parse_url

MAX_REDIRECTS = 5  # RFC 9309 2.3.1.2
UNREACHABLE_TTL_SECONDS = 5.0  # a batch asks once; its items are told to come again after that, and ask again
MAX_UNREACHABLE_TTL_SECONDS = 600.0  # where the server names a time itself
MAX_ORIGINS = 4096
# Failures of the host itself: the page can't be fetched either, and these say why better than robots_unreachable.
_OF_THE_HOST = frozenset({"address_blocked", "dns_failed", "connect_failed", "tls_failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    rules: RobotsRules
    has_file: bool
    fetched_at: datetime
    until: float
    failure: Callable[[], ScrapingError] | None = None
    """Makes the error of one page: each gets its own."""


class RobotsGate:
    """Asks robots.txt. Parsed rules are kept in the process: each worker asks a host once in `robots_ttl_seconds`."""

    def __init__(self, client: GuardedClient, gates: HostGates, settings: FetchSettings) -> None:
        self._client = client
        self._gates = gates
        self._agent = product_token(settings.user_agent)
        self._headers: Sequence[Header] = (
            (b"User-Agent", settings.agent_header.encode()),
            (b"Accept-Encoding", b"gzip"),
        )
        self._ttl_seconds = settings.robots_ttl_seconds
        self._timeout_seconds = settings.read_timeout_seconds
        self._max_delay_seconds = settings.max_crawl_delay_seconds
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._loading: dict[str, asyncio.Lock] = {}

    async def ask(self, url: ParsedUrl) -> tuple[RobotsVerdict, float]:
        """Return the verdict and the crawl delay in seconds, capped.

        Raises ScrapingError: robots_unreachable, or what the host itself fails with. It may take as long as a silence.
        """
        known = await self._rules(url)
        if known.failure is not None:
            raise known.failure()
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
        try:
            text = await self._fetch(url)
        except HostPausedError:  # it was not asked
            raise
        except ScrapingError as error:
            return self._unreachable(error)
        return _Known(
            rules=parse_robots(text or "", agent=self._agent),
            has_file=text is not None,
            fetched_at=datetime.now(UTC),
            until=time.monotonic() + self._ttl_seconds,
        )

    def _unreachable(self, error: ScrapingError) -> _Known:
        ttl_seconds = max(UNREACHABLE_TTL_SECONDS, error.retry_after_seconds or 0.0)
        ttl_seconds = min(ttl_seconds, MAX_UNREACHABLE_TTL_SECONDS)
        is_of_host = error.code in _OF_THE_HOST
        text = f"robots.txt can't be read, so nothing of this host is fetched now: {error.message}"
        is_retryable = error.retryable or not is_of_host
        failure = partial(
            ScrapingError,
            error.code if is_of_host else "robots_unreachable",
            error.message if is_of_host else text,
            retryable=is_retryable,
            http_status=error.http_status,
            retry_after_seconds=ttl_seconds if is_retryable else None,
        )
        until = time.monotonic() + ttl_seconds
        return _Known(rules=RobotsRules(), has_file=False, fetched_at=datetime.now(UTC), until=until, failure=failure)

    async def _fetch(self, url: ParsedUrl) -> str | None:
        """Return the file's text, None where there is none (4xx, or too many redirects)."""
        target = parse_url(f"{url.origin}/robots.txt")
        left_seconds = self._timeout_seconds
        for _ in range(MAX_REDIRECTS + 1):
            async with self._gates.turn((target.host, target.port), delay_seconds=0.0):
                started = time.monotonic()
                found = await self._ask_for(target, left_seconds)
                left_seconds -= time.monotonic() - started
            if not isinstance(found, ParsedUrl):
                return found
            target = found
        return None

    async def _ask_for(self, target: ParsedUrl, left_seconds: float) -> ParsedUrl | str | None:
        try:
            async with asyncio.timeout(left_seconds), self._client.get(target, self._headers) as answer:
                return _redirect(answer, target) if answer.status in REDIRECT_STATUSES else await _read(answer)
        except TimeoutError as error:
            raise ScrapingError("timeout", "the server did not answer in time", retryable=True) from error


async def _read(answer: Answer) -> str | None:
    if answer.status >= 500 or answer.status == 429:
        text = f"the server answered {answer.status}"
        wait = retry_after_seconds(answer)
        raise ScrapingError("http_5xx", text, http_status=answer.status, retry_after_seconds=wait)
    if not 200 <= answer.status < 300:
        return None
    body = await read_body(answer, max_bytes=MAX_ROBOTS_BYTES, truncate=True)
    if len(body) == MAX_ROBOTS_BYTES:
        body = body[: body.rfind(b"\n") + 1]  # a rule that was cut would say something else
    return body.decode("utf-8", "surrogateescape")  # a path in another charset is compared by its octets


def _redirect(answer: Answer, base: ParsedUrl) -> ParsedUrl:
    try:
        return parse_url(location_of(answer) or "", base=base.href)
    except InvalidUrlError as error:
        raise ScrapingError("redirect_blocked", f"robots.txt redirects to no fetchable URL: {error.message}") from error
