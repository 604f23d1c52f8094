"""Removes what has aged from the product's tables, a slice at a time. Jobs and items stay: they are a caller's record.

Vectors are not removed here: a hash may belong to several versions. Nothing here commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.postgres.queries import query

CHUNKS_AT_ONCE = 2000
VERSIONS_AT_ONCE = 500
ROWS_AT_ONCE = 2000
BODIES_LOOKED_AT = 5000
BODIES_AT_ONCE = 100
"""Few: who stores a page waits meanwhile, and a body of 20 MB is 10,000 rows of TOAST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one step removed. `after`, where rows are walked in the order of a key: where the next step goes on."""

    removed: int
    after: int | bytes | None = None

    @property
    def is_last(self) -> bool:
        return self.removed == 0 and self.after is None


def prune_document_versions(connection: Connection[TupleRow], *, days: int) -> Slice:
    """Remove versions not live for `days`, with chunk sets and chunks. Queued and leased pages keep theirs."""
    parameters = {"days": days, "limit": CHUNKS_AT_ONCE, "versions": VERSIONS_AT_ONCE}
    old = [version_id for (version_id,) in connection.execute(query("old_document_versions"), parameters).fetchall()]
    row = connection.execute(query("prune_document_versions"), {"version_ids": old}).fetchone()
    assert row is not None
    return Slice(removed=row[0])


def prune_page_bodies(connection: Connection[TupleRow], *, after: int | bytes | None) -> Slice:
    """Remove bodies that no version refers to, of the next ones after `after`."""
    parameters = {"after": after or b"", "limit": BODIES_LOOKED_AT, "orphans": BODIES_AT_ONCE}
    row = connection.execute(query("orphan_page_bodies"), parameters).fetchone()
    assert row is not None
    end, orphans = row
    if not orphans:
        return Slice(removed=0, after=end)
    connection.execute(query("lock_page_bodies"))
    removed = connection.execute(query("prune_page_bodies"), {"orphans": orphans}).rowcount
    return Slice(removed=removed, after=orphans[-1] if len(orphans) == BODIES_AT_ONCE else end)


def prune_batches(connection: Connection[TupleRow], *, days: int) -> Slice:
    """Remove batches that ended `days` ago."""
    return _limited(connection, query("prune_batches"), days)


def prune_audit(connection: Connection[TupleRow], *, days: int) -> Slice:
    """Remove audit records of accesses `days` ago."""
    return _limited(connection, query("prune_audit"), days)


def prune_hosts(connection: Connection[TupleRow], *, days: int) -> Slice:
    """Forget hosts whose pause ended `days` ago."""
    return _limited(connection, query("prune_hosts"), days)


def prune_workers(connection: Connection[TupleRow], *, days: int) -> Slice:
    """Forget workers not seen for `days`."""
    return _limited(connection, query("prune_workers"), days)


def prune_idempotency_keys(connection: Connection[TupleRow], *, days: int) -> Slice:
    """Forget answers kept for `days`: their keys are new again."""
    return _limited(connection, query("prune_idempotency_keys"), days)


def _limited(connection: Connection[TupleRow], statement: LiteralString, days: int) -> Slice:
    return Slice(removed=connection.execute(statement, {"days": days, "limit": ROWS_AT_ONCE}).rowcount)
