"""The Dagster resource that fetches a batch's pages, many at once, polite per host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from threading import Event
from typing import Any
from uuid import UUID

import dagster as dg

from resources.errors import HostPausedError, InvalidUrlError, ScrapingError
from resources.orchestration.batch_trace import SCRAPE, fail_page
from resources.orchestration.lease import Lease, observe
from resources.orchestration.runtime import runtime
from resources.orchestration.streams import FetchOutcome, FetchStream, LinkReader
from resources.postgres import corpus_lock, pages, pushes
from resources.postgres.items import ItemEnd
from resources.postgres.pages import FetchItem
from resources.telemetry import attributes, tracing
from resources.types import FetchedPage, ItemStatus

FETCHES_AT_ONCE = 16
SITEMAPS_AT_ONCE = 4  # of 50 MiB each, and in memory until their turn to be read


class FetchResource(dg.ConfigurableResource[Any]):
    """Turns the items of a lease into fetched pages. An item's error is its own: it never fails its batch."""

    def stream(self, lease: Lease, reader: LinkReader | None = None) -> FetchStream:
        """Return the outcomes of all items of the batch that have no bytes yet; `reader` is for those of a crawl."""
        _settle_pushes(lease)
        with lease.reading() as connection:
            items = pages.fetch_items(connection, batch_id=lease.batch.batch_id)
        stopped = Event()
        asked: set[UUID] = set()

        def _turn(item: FetchItem) -> None:
            asked.add(item.item_id)
            tracing.event(attributes.TURN_EVENT)

        async def fetch(item: FetchItem) -> FetchOutcome:
            with lease.trace.page(item.item_id, SCRAPE) as span:
                outcome = await _fetch(item, on_turn=lambda: _turn(item))
                if outcome.error is not None and not isinstance(outcome.error, HostPausedError):
                    fail_page(span, SCRAPE, outcome.error.code)
                return outcome

        def is_wanted(item: FetchItem) -> bool:
            """After a stop only what has its turn goes on: a polite site's other pages may wait for minutes."""
            return lease.wants(item.item_id) and (not stopped.is_set() or item.item_id in asked)

        def outcomes(*, are_sitemaps: bool, width: int) -> Iterator[FetchOutcome]:
            source = [item for item in items if item.is_sitemap == are_sitemaps]
            if source:
                goes_on = (item for item in source if not stopped.is_set())
                yield from runtime().loop.map(goes_on, fetch, width=width, wanted=is_wanted)

        sitemaps_first = chain(
            outcomes(are_sitemaps=True, width=SITEMAPS_AT_ONCE), outcomes(are_sitemaps=False, width=FETCHES_AT_ONCE)
        )
        return FetchStream(lease=lease, items=items, outcomes=sitemaps_first, stopped=stopped, reader=reader)


def _settle_pushes(lease: Lease) -> None:
    """End what was pushed and is live already: it costs nothing."""
    with lease.transaction() as connection:
        corpus_lock.share(connection, corpus_id=lease.batch.corpus_id)
        unchanged = pushes.settle(connection, batch_id=lease.batch.batch_id)
        ended = lease.end_items(
            connection,
            [
                ItemEnd(item_id=push.item_id, status=ItemStatus.UNCHANGED, document_id=push.document_id)
                for push in unchanged
            ],
        )
    observe(ended)


async def _fetch(item: FetchItem, *, on_turn: Callable[[], None]) -> FetchOutcome:
    if item.url is None:
        detail = "the pushed content is stored no more: push it again"
        return FetchOutcome(item=item, error=ScrapingError("content_removed", detail))
    try:
        page = await runtime().fetcher.fetch(
            item.url,
            etag=item.etag,
            last_modified=item.last_modified,
            validated_url=item.validated_url,
            on_turn=on_turn,
            is_sitemap=item.is_sitemap,
        )
    except ScrapingError as error:
        return FetchOutcome(item=item, error=error)
    except InvalidUrlError as error:  # it was accepted by an older version
        return FetchOutcome(item=item, error=ScrapingError(error.code, error.message))
    return outcome_of(item, page)


def outcome_of(item: FetchItem, page: FetchedPage) -> FetchOutcome:
    """Return the outcome of an item whose page came."""
    error = None
    if page.is_noindex:
        text = "the page asks not to be indexed (X-Robots-Tag or <meta name=robots>)"
        error = ScrapingError("robots_noindex", text, http_status=page.status)
    return FetchOutcome(item=item, page=page, error=error)
