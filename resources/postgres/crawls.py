"""What a crawl finds becomes items of its job, in the fenced transaction that stores the page which names it.

So a run that is killed at any moment has added all of a page's links or none, and a job ends only when nothing that it
found is open: its count is under the same lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres import items
from resources.postgres.items import EndedItem, ItemEnd
from resources.postgres.queries import query
from resources.types import ItemStatus

MAX_SITEMAPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundItem:
    """A page, or a sitemap, that another one names, one deeper unless it has a `depth`.

    Of a `family` a job takes `family_urls` at most.
    """

    url: str
    url_key: str
    host: str
    kind: str = "page"
    family: str | None = None
    family_urls: int = 0
    depth: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became items; `left_out` pages had no room in the job or in the caller's quota."""

    pages: int = 0
    sitemaps: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPage:
    """The bytes of a version, to be read for links again."""

    document_version_id: UUID
    content_type: str
    charset: str | None
    body: bytes


def stored_pages(connection: Connection[TupleRow], *, version_ids: Sequence[UUID]) -> dict[UUID, StoredPage]:
    """Return the bytes of some versions, by version."""
    with connection.cursor(row_factory=class_row(StoredPage), binary=True) as cursor:
        rows = cursor.execute(query("stored_pages"), {"version_ids": list(version_ids)}).fetchall()
    return {row.document_version_id: row for row in rows}


def take_turn(connection: Connection[TupleRow], *, caller_id: str) -> None:
    """Let what is added for a caller wait until the end of this transaction: what `room_of_caller` counts stays true.

    Before all other locks but the fence: a submission takes it first, too, and then waits for others.
    """
    connection.execute(query("lock_quota_of_caller"), {"caller_id": caller_id})


def room_of_caller(connection: Connection[TupleRow], *, caller_id: str, queued_pages: int) -> int:
    """Return how many pages a caller's quota leaves room for. 0 `queued_pages` is no quota."""
    if not queued_pages:
        return 2**31 - 1
    row = connection.execute(query("open_pages_of_caller"), {"caller_id": caller_id}).fetchone()
    assert row is not None
    used: int = row[0]
    return max(0, queued_pages - used)


def add(connection: Connection[TupleRow], *, parent_id: UUID, found: Sequence[FoundItem], room: int) -> Added:
    """Add what an open item of a crawl names to its job and to the queue.

    The caller holds the lock of the job (`items.lock_jobs`) and the fence of the batch. A URL becomes an item once.
    """
    if not found:
        return Added()
    with connection.cursor(row_factory=class_row(Added)) as cursor:
        row = cursor.execute(
            query("insert_found_items"),
            {
                "parent_id": parent_id,
                "urls": [each.url for each in found],
                "url_keys": [each.url_key for each in found],
                "hosts": [each.host for each in found],
                "kinds": [each.kind for each in found],
                "families": [each.family for each in found],
                "family_urls": [each.family_urls for each in found],
                "depths": [each.depth for each in found],
                "room": room,
                "max_sitemaps": MAX_SITEMAPS,
            },
        ).fetchone()
    connection.execute(query("notify_jobs"))
    return row or Added()


def known_pages(connection: Connection[TupleRow], *, item_id: UUID) -> list[FoundItem]:
    """Return what the same crawl as an item's found before, as far as the corpus still has it."""
    with connection.cursor(row_factory=class_row(FoundItem)) as cursor:
        return cursor.execute(query("known_pages"), {"item_id": item_id, "family_urls": 2**31 - 1}).fetchall()


def end_repeated(connection: Connection[TupleRow], *, batch_id: UUID, item_ids: Sequence[UUID]) -> list[EndedItem]:
    """End those of the items that a crawl found and whose text a document of the corpus has already.

    One after the other under the lock of their job, so that of several new ones with the same text one stays.
    """
    rows = connection.execute(query("found_pages"), {"item_ids": list(item_ids)}).fetchall()
    found = [row[0] for row in rows]
    if found:
        items.lock_jobs(connection, found)
    ended: list[EndedItem] = []
    for item_id in found:
        row = connection.execute(query("repeated_page"), {"item_id": item_id}).fetchone()
        if row is not None:
            end = ItemEnd(item_id=item_id, status=ItemStatus.SKIPPED, document_id=row[0], duplicate_of=row[1])
            ended += items.end(connection, batch_id=batch_id, ends=[end])
    return ended


def standing_item(connection: Connection[TupleRow], *, item_id: UUID, url_key: str) -> UUID | None:
    """Return the item of the same crawl that stands for a page: it is open, or its page is in the corpus."""
    row = connection.execute(query("standing_item"), {"item_id": item_id, "url_key": url_key}).fetchone()
    return None if row is None else row[0]


def spent_keys(connection: Connection[TupleRow], *, keys: Mapping[UUID, str]) -> set[UUID]:
    """Return which of these items name a page (by key) that their crawl has met and that makes no document."""
    rows = connection.execute(query("spent_keys"), {"item_ids": list(keys), "url_keys": list(keys.values())}).fetchall()
    return {row[0] for row in rows}
