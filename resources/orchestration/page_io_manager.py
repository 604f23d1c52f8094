"""Stores fetched pages as they come, and hands the batch's unchunked versions on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from http import HTTPStatus

import dagster as dg
from psycopg import Connection
from psycopg.rows import TupleRow

from resources import fail_points
from resources.errors import HostPausedError
from resources.orchestration import crawling, draining
from resources.orchestration.batch_trace import SCRAPE
from resources.orchestration.fetch_retries import host_pause, retry_delay
from resources.orchestration.lease import STOPPING, observe
from resources.orchestration.streams import FetchOutcome, FetchStream, PageToChunk
from resources.orchestration.work import work_of
from resources.postgres import corpus_lock, pages
from resources.postgres.items import EndedItem, ItemEnd
from resources.postgres.pages import HostPause
from resources.settings import Settings
from resources.telemetry import attributes, metrics, tracing
from resources.types import ItemStatus, Stage

GROUP_PAGES = 25
GROUP_BYTES = 4 * 2**20
GROUP_SECONDS = 0.25
BODIES_AT_ONCE = 8


class PageIOManager(dg.ConfigurableIOManager):
    """Postgres: bytes once per sha256, a document and a version per page."""

    def handle_output(self, context: dg.OutputContext, obj: FetchStream | None) -> None:
        counts: Counter[str] = Counter()
        codes: Counter[str] = Counter()
        started = time.monotonic()
        if obj is not None:
            settings = work_of(context.run_id).parts.settings
            with obj.lease.trace.stage(SCRAPE), metrics.stage_duration_seconds.labels(Stage.SCRAPING).time():
                for group in _groups(obj):
                    counts.update(_store(obj, group, settings))
                    codes.update(outcome.error.code for outcome in group if outcome.error is not None)
                    _yield_turn(obj, time.monotonic() - started, settings)
                counts["released"] += _release_unstarted(obj)
        told = ", ".join(f"{code} {times}" for code, times in codes.most_common())
        context.add_output_metadata(
            {
                "pages_fetched": counts["fetched"],
                "pages_unchanged": counts["unchanged"],
                "pages_failed": counts["failed"],
                "pages_skipped": counts["skipped"] + counts["duplicate"],
                "pages_retried": counts["retried"],
                "pages_released": counts["released"],
                "bytes": counts["bytes"],
                "seconds": round(time.monotonic() - started, 3),
            }
            | ({"errors": told} if told else {})
        )
        if told:
            context.log.warning("Pages that could not be fetched, by error: %s", told)

    def load_input(self, context: dg.InputContext) -> PagesToChunk:
        return PagesToChunk(context.step_context.run_id)


class PagesToChunk:
    """The batch's versions that lack their chunk set, largest first; may be iterated again.

    Bodies come a few at a time in short transactions: none is open while a page is extracted.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def __iter__(self) -> Iterator[PageToChunk]:
        lease, index = work_of(self._run_id).of_model(None)
        with lease.reading() as connection:
            versions = pages.versions_to_chunk(connection, batch_id=lease.batch.batch_id, chunking_fp=index.chunking_fp)
        for start in range(0, len(versions), BODIES_AT_ONCE):
            group = versions[start : start + BODIES_AT_ONCE]
            with lease.reading() as connection:
                ids = [version.document_version_id for version in group]
                found = pages.bodies(connection, version_ids=ids, from_raw=index.is_from_raw)
            for version in group:
                if version.document_version_id in found:  # its document may have been deleted
                    yield PageToChunk(version=version, body=found[version.document_version_id])


def _groups(stream: FetchStream) -> Iterator[list[FetchOutcome]]:
    """Yield outcomes in groups that are worth a transaction: by number, bytes or time."""
    group: list[FetchOutcome] = []
    size, opened = 0, time.monotonic()
    for outcome in stream:
        group.append(outcome)
        size += len(outcome.page.body or b"") if outcome.page else 0
        if len(group) >= GROUP_PAGES or size >= GROUP_BYTES or time.monotonic() - opened >= GROUP_SECONDS:
            yield group
            group, size, opened = [], 0, time.monotonic()
    if group:
        yield group


def _store(stream: FetchStream, group: Sequence[FetchOutcome], settings: Settings) -> Counter[str]:
    """Write one group in one fenced transaction and return what was counted."""
    group = crawling.read(stream, group)
    kinds = [_kind(outcome, settings) for outcome in group]
    of = {kind: [outcome for outcome, each in zip(group, kinds, strict=True) if each == kind] for kind in set(kinds)}
    new = [(outcome.item, outcome.page) for outcome in of.get("fetched", ()) if outcome.page is not None]
    ends = [*of.get("unchanged", ()), *of.get("failed", ()), *of.get("skipped", ())]
    others = [*of.get("retried", ()), *of.get("released", ()), *of.get("duplicate", ())]
    for outcome in group:
        metrics.fetch.labels(_label(outcome), _cache_label(outcome)).inc()
    found, queued_pages = crawling.naming(group), settings.limits.queued_pages
    with tracing.span(attributes.STORE_PAGES_SPAN), stream.lease.transaction() as connection:
        crawling.take_turns(connection, found, queued_pages=queued_pages)
        corpus_lock.share(connection, corpus_id=stream.lease.batch.corpus_id)
        pages.store_pages(connection, new)
        for outcome in of.get("unchanged", ()):
            _touch(outcome, connection)
        pages.hold_hosts(connection, [pause for outcome in group for pause in _pause(outcome, settings)])
        stream.lease.lock_jobs(connection, [outcome.item.item_id for outcome in (*ends, *others, *found)])
        crawling.add_found(connection, found, queued_pages=queued_pages)
        ended = stream.lease.end_items(connection, [crawling.end_of(outcome) or _end(outcome) for outcome in ends])
        for outcome in of.get("duplicate", ()):
            ended += crawling.end_duplicate(stream.lease, connection, outcome)
        for outcome in of.get("released", ()):
            ended += crawling.release(stream.lease, connection, outcome)
        for outcome in of.get("retried", ()):
            ended += _retry(stream, outcome, _delay(outcome, settings), connection)
        fail_points.reach(fail_points.PAGES_STORED)
    observe(ended)
    return Counter(kinds) + Counter(bytes=sum(len(page.body or b"") for _, page in new))


def _kind(outcome: FetchOutcome, settings: Settings) -> str:
    """Return what becomes of an outcome; the kinds are counted."""
    if _delay(outcome, settings) is not None:
        return "retried"
    if outcome.finding is not None and outcome.finding.interruption is not None:
        return "released"
    if crawling.end_of(outcome) is not None:
        return "skipped"
    if outcome.error is not None:
        return "failed"
    if outcome.finding is not None and outcome.finding.canonical is not None:
        return "duplicate"
    page = outcome.page
    assert page is not None
    is_same = page.is_unchanged or (page.body is not None and pages.sha256(page.body) == outcome.item.body_sha256)
    return "unchanged" if is_same else "fetched"


def _end(outcome: FetchOutcome) -> ItemEnd:
    error, page = outcome.error, outcome.page
    if error is not None:
        return ItemEnd(
            item_id=outcome.item.item_id,
            status=ItemStatus.FAILED,
            failed_stage=Stage.SCRAPING,
            error=error.as_record(),
            http_status=error.http_status,
            robots=outcome.robots,
            fetched_at=page.fetched_at if page else None,
        )
    assert page is not None
    return ItemEnd(
        item_id=outcome.item.item_id,
        status=ItemStatus.UNCHANGED,
        change="unchanged",
        document_id=outcome.item.document_id,
        http_status=page.status,
        final_url=page.final_url,
        robots=outcome.robots,
        fetched_at=page.fetched_at,
    )


def _touch(outcome: FetchOutcome, connection: Connection[TupleRow]) -> None:
    if outcome.page is not None and outcome.item.document_id is not None:
        pages.touch(connection, item=outcome.item, checked_at=outcome.page.fetched_at)


def _delay(outcome: FetchOutcome, settings: Settings) -> float | None:
    """Return the seconds before the next try, None where the outcome is final."""
    if outcome.error is None:
        return None
    item = outcome.item
    return retry_delay(
        outcome.error, attempts=item.attempts, paused_seconds=item.paused_seconds, settings=settings.fetch
    )


def _pause(outcome: FetchOutcome, settings: Settings) -> list[HostPause]:
    """Return what the host is held for, if it asked for it."""
    seconds = host_pause(outcome.error, settings.fetch) if outcome.error else None
    if outcome.error is None or seconds is None:
        return []
    return [HostPause(item_id=outcome.item.item_id, seconds=seconds, reason=outcome.error.code)]


def _retry(
    stream: FetchStream, outcome: FetchOutcome, delay: float | None, connection: Connection[TupleRow]
) -> list[EndedItem]:
    assert outcome.error is not None
    assert delay is not None
    was_asked = not isinstance(outcome.error, HostPausedError)
    return stream.lease.release(
        connection, [outcome.item.item_id], delay_seconds=delay, reason=outcome.error.code, counts_attempt=was_asked
    )


def _label(outcome: FetchOutcome) -> str:
    if outcome.error is not None:
        return outcome.error.code
    return str(outcome.page.status) if outcome.page else "unknown"


def _cache_label(outcome: FetchOutcome) -> str:
    """Return whether what is stored served still: `none` where the page was not asked for on that condition."""
    if outcome.page is not None and outcome.page.status == HTTPStatus.NOT_MODIFIED:
        return "hit"
    return "miss" if outcome.page is not None and (outcome.item.etag or outcome.item.last_modified) else "none"


def _yield_turn(stream: FetchStream, seconds: float, settings: Settings) -> None:
    """Stop fetching when this run had its turn and somebody else waits."""
    if not stream.is_stopped and seconds > settings.pipeline.turn_seconds and stream.lease.others_wait():
        stream.stop()


def _release_unstarted(stream: FetchStream) -> int:
    """Give back what was not started, and return how many items that are."""
    unstarted = stream.unstarted
    if unstarted:
        with stream.lease.transaction() as connection:
            reason = STOPPING if draining.is_time_to_give_back() else "turn_over"
            ended = stream.lease.release(connection, unstarted, reason=reason)
        observe(ended)
    return len(unstarted)
