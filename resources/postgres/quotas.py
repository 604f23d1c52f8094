"""What a caller may have: pages waiting or in work, corpora, tokens a day. Checked where it is added to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from resources.errors import QuotaExceededError
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query
from resources.settings import LimitSettings
from resources.telemetry import metrics

QUEUED_PAGES, CORPORA, TOKENS = "queued-pages", "corpora", "tokens-per-day"
QUEUE_SECONDS = 30.0
"""Pages leave the queue all the time; when enough of them did is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUse:
    """What the caller has. `day_seconds` are left of the day (UTC)."""

    queued_pages: int
    corpora: int
    tokens_today: int
    has_corpus: bool
    day_seconds: float


async def take_turn(connection: AsyncConnection[TupleRow], *, limits: LimitSettings) -> None:
    """Let the caller's other submissions, and the crawls that add to its jobs, wait until the end of the transaction.

    Before all other locks: who waits for this one holds nothing that its holder may need.
    """
    if _is_limited(limits):
        await connection.execute(query("lock_quota"))


async def admit(
    connection: AsyncConnection[TupleRow],
    *,
    limits: LimitSettings,
    pages: int = 0,
    corpus: str | None = None,
    are_inserted: bool = False,
) -> None:
    """Check that the caller may add `pages`, and the corpus if it is new. Raises QuotaExceededError.

    Call it in the `caller_transaction` that adds them: until its commit the caller's other submissions wait, so that
    any number at once can't pass a limit together. `are_inserted`: the pages are in the queue already, added after
    `take_turn`.
    """
    if not _is_limited(limits):
        return
    await take_turn(connection, limits=limits)
    cursor = connection.cursor(row_factory=class_row(QuotaUse))
    await cursor.execute(
        query("quota_used"),
        {
            "counts_pages": limits.queued_pages > 0 and pages > 0,
            "counts_corpora": limits.corpora > 0 and corpus is not None,
            "counts_tokens": limits.tokens_per_day > 0 and pages > 0,
            "corpus": corpus,
        },
    )
    used = await cursor.fetchone()
    assert used is not None
    if are_inserted:
        used = replace(used, queued_pages=used.queued_pages - pages)
    _refuse(used, limits=limits, pages=pages, corpus=corpus)


async def quota_use(connection: AsyncConnection[TupleRow], *, caller_id: str) -> QuotaUse:
    """Return all that is counted of a caller."""
    parameters = {"counts_pages": True, "counts_corpora": True, "counts_tokens": True, "corpus": None}
    found = await fetch_as(connection, caller_id, query("quota_used"), parameters, rows=class_row(QuotaUse))
    return found[0]


def _is_limited(limits: LimitSettings) -> bool:
    return bool(limits.queued_pages or limits.corpora or limits.tokens_per_day)


def _refuse(used: QuotaUse, *, limits: LimitSettings, pages: int, corpus: str | None) -> None:
    over: dict[str, tuple[str, float | None]] = {}
    if limits.queued_pages and pages and used.queued_pages + pages > limits.queued_pages:
        detail = f"{used.queued_pages} of {limits.queued_pages} pages wait or are in work, these are {pages} more"
        over[QUEUED_PAGES] = (detail, QUEUE_SECONDS if pages <= limits.queued_pages else None)
    if limits.corpora and corpus is not None and not used.has_corpus and used.corpora >= limits.corpora:
        over[CORPORA] = (f"the caller has {used.corpora} of {limits.corpora} corpora", None)
    if limits.tokens_per_day and pages and used.tokens_today >= limits.tokens_per_day:
        detail = f"{used.tokens_today} of {limits.tokens_per_day} tokens of this day are used"
        over[TOKENS] = (detail, used.day_seconds)
    if over:
        for policy in over:
            metrics.rate_limited.labels(policy).inc()
        waits = [seconds for _, seconds in over.values()]
        raise QuotaExceededError(
            "; ".join(detail for detail, _ in over.values()),
            policies=list(over),
            retry_after_seconds=None if None in waits else max(seconds for seconds in waits if seconds is not None),
        )
