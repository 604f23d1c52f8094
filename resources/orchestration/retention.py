"""Retention: what has aged is removed in slices, one at each look of lifeline, on a thread of its own.

What is kept for how long are settings; what may not go whatever its age is decided by the statements.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.orchestration.aside import Aside
from resources.postgres import dagster_retention, retention
from resources.postgres.database import Database
from resources.postgres.retention import Slice
from resources.settings import RetentionSettings, Settings
from resources.telemetry import metrics

LIMITS = "-c statement_timeout=30s -c lock_timeout=1s"
IDLE_DAYS = 1
"""For rows that say what is now: paused hosts and workers."""
KEY_DAYS = 1
"""How long a request with an Idempotency-Key may be repeated: told to callers."""
WALK_AGAIN_SECONDS = 86_400.0
"""A walk goes on where it ended; what it passed by and could not take then, the next from the start takes."""
Place = int | bytes | None
logger = logging.getLogger("cixml.retention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Rows that age in one way. `prune` takes a slice of them, after the place where the one before ended."""

    name: str
    database: Database
    prune: Callable[[Connection[TupleRow], Place], Slice]


class Retention:
    """One slice at each `step`; after the last kind it rests for `interval_seconds`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.retention
        self._databases = (
            Database(settings.require(settings.pipeline.database_url, "CIXML_PIPELINE__DATABASE_URL"), options=LIMITS),
            Database(settings.dagster_libpq_url(), options=LIMITS, has_vectors=False),
        )
        self._kinds = _kinds(settings.retention, *self._databases)
        self._left: list[Kind] = []
        self._removed: Counter[str] = Counter()
        self._rests_until = 0.0
        self._places: dict[str, Place] = {}
        self._walked_at = time.monotonic()
        self._aside = Aside("cixml-retention")

    def step_aside(self) -> None:
        """Start a step on the thread, unless one is under way there. Raises what the one before raised."""
        self._aside.do(self.step)

    def step(self) -> None:
        """Remove one slice, in one transaction. After a DatabaseUnavailableError the next kind has its turn."""
        if not self._left:
            if time.monotonic() < self._rests_until:
                return
            self._left = list(self._kinds)
        kind = self._left.pop(0)
        with kind.database.transaction() as connection:
            found = kind.prune(connection, self._places.get(kind.name))
        if found.removed:
            self._removed[kind.name] += found.removed
            metrics.pruned.labels(kind.name).inc(found.removed)
        if found.after is not None:
            self._places[kind.name] = found.after
        if not found.is_last:
            self._left.insert(0, kind)
        if not self._left:
            self._rest()

    def close(self) -> None:
        """End the thread and its connections; a slice under way goes on to its end."""
        self._aside.close()
        for database in self._databases:
            database.close()

    def _rest(self) -> None:
        if self._removed:
            logger.info("removed what has aged: %s", ", ".join(f"{n} {name}" for name, n in self._removed.items()))
        self._removed.clear()
        self._rests_until = time.monotonic() + self._settings.interval_seconds
        if time.monotonic() - self._walked_at > WALK_AGAIN_SECONDS:
            self._walked_at = time.monotonic()
            self._places.clear()


def _kinds(settings: RetentionSettings, cixml: Database, dagster: Database) -> list[Kind]:
    """Return what ages, in the order it is removed: versions before bodies. 0 days: it is kept for ever."""
    events, runs, ticks = settings.run_event_days, settings.run_days, settings.tick_days
    versions, batches, audit = settings.version_days, settings.batch_days, settings.audit_days
    ours, theirs = retention, dagster_retention
    aged = [
        (events, "events", dagster, lambda link, after: theirs.prune_events(link, days=events, after=after)),
        (runs, "runs", dagster, lambda link, after: theirs.prune_runs(link, days=runs, after=after)),
        (ticks, "ticks", dagster, lambda link, _: theirs.prune_ticks(link, days=ticks)),
        (versions, "document_versions", cixml, lambda link, _: ours.prune_document_versions(link, days=versions)),
        (IDLE_DAYS, "page_bodies", cixml, lambda link, after: ours.prune_page_bodies(link, after=after)),
        (batches, "batches", cixml, lambda link, _: ours.prune_batches(link, days=batches)),
        (audit, "audit", cixml, lambda link, _: ours.prune_audit(link, days=audit)),
        (IDLE_DAYS, "hosts", cixml, lambda link, _: ours.prune_hosts(link, days=IDLE_DAYS)),
        (KEY_DAYS, "idempotency_keys", cixml, lambda link, _: ours.prune_idempotency_keys(link, days=KEY_DAYS)),
        (IDLE_DAYS, "workers", cixml, lambda link, _: ours.prune_workers(link, days=IDLE_DAYS)),
    ]
    return [Kind(name=name, database=database, prune=prune) for days, name, database, prune in aged if days > 0]
