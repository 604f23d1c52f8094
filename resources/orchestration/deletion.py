"""Removes what was deleted: for each open receipt slice after slice, on a thread and a connection of its own.

The rows are removed by resources/postgres/deletions.py; here is when, and the last layer of a corpus: its partition in
Dagster, which goes once no run, no backfill and no claim can name it any more. Killed anywhere, it is gone on with.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from dagster import DagsterInstance, RunsFilter
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._serdes import serialize_value
from opentelemetry.util.types import AttributeValue
from psycopg import Connection, DatabaseError
from psycopg.rows import TupleRow

from resources.identifiers import Prefix, public_id
from resources.orchestration import tags
from resources.orchestration.aside import Aside
from resources.postgres import deletions, removals
from resources.postgres.database import Database
from resources.postgres.deletions import OpenReceipt, Slice
from resources.settings import Settings
from resources.telemetry import attributes, metrics, tracing

LIMITS = "-c statement_timeout=60s -c lock_timeout=2s"
PARTITIONS = "corpora"
"""The name of the partitions definition: a key of it is a corpus."""
OPEN_BACKFILL = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]
FAILURE_PAUSE_SECONDS = 60.0
"""Of a page that a crawl found gone and that can't be deleted."""
DISPATCH, RUN, BACKFILL, FAILURE, ORPHANS = "dispatch", "run", "backfill", "failure", "orphans"
logger = logging.getLogger("cixml.deletion")


class Sweeper:
    """One slice at each `step`; `step_aside` takes slices on the thread until none is left that can go now."""

    def __init__(self, settings: Settings, instance: DagsterInstance) -> None:
        self._database = Database(
            settings.require(settings.pipeline.database_url, "CIXML_PIPELINE__DATABASE_URL"), options=LIMITS
        )
        self._dispatch_seconds = settings.pipeline.dispatch_seconds
        self._instance = instance
        self._is_over = threading.Event()
        self._aside = Aside("cixml-deletion")

    def step_aside(self) -> None:
        """Go on with the deletions on the thread, unless that is under way. Raises what the pass before raised."""
        self._aside.do(self._sweep)

    def step(self) -> bool:
        """Remove one slice of one deletion, or delete a page that a crawl found gone, in one transaction.

        False when there is nothing to go on with now.
        """
        began = datetime.now(UTC)
        with self._database.transaction() as connection:
            receipt = deletions.take(connection)
            if receipt is None:
                return self._delete_removed(connection)
            done = self._take_slice(connection, receipt)
            sums = deletions.keep(connection, receipt, done)
        for layer, count in done.removed.items():
            metrics.deleted.labels(layer).inc(count)
        if done.waits_for != receipt.waits_for:
            for layer, count in done.left.items():
                metrics.orphans.labels(layer).inc(count)
        _tell(receipt, done, sums)
        _trace(receipt, done, began)
        return True

    def _delete_removed(self, connection: Connection[TupleRow]) -> bool:
        """Delete a page that a crawl found gone. One that fails is put off: the others are deleted meanwhile."""
        page = removals.take(connection)
        if page is None:
            return False
        try:
            with connection.transaction():
                removals.delete(connection, page)
        except DatabaseError:
            if connection.closed:
                raise
            logger.exception("the page of the item %s can't be deleted", public_id(Prefix.ITEM, page.item_id))
            removals.put_off(connection, page, seconds=FAILURE_PAUSE_SECONDS)
        return True

    def _take_slice(self, connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
        """Remove a slice. One that fails is undone and tried again later: other deletions go on meanwhile."""
        try:
            with connection.transaction():
                done = deletions.remove_slice(connection, receipt)
                if done.is_empty and receipt.is_of_corpus:
                    done = self._drop_partition(connection, receipt)
                if done.is_empty and receipt.is_of_corpus and (left := deletions.left_of(connection, receipt)):
                    done = Slice(waits_for=ORPHANS, left=left)
                return done
        except DatabaseError:
            if connection.closed:
                raise
            logger.exception("a slice of the deletion of %s in %s failed", receipt.kind, receipt.partition_key)
            return Slice(waits_for=FAILURE)

    def close(self) -> None:
        """End the thread and its connection; a slice under way goes on to its end."""
        self._is_over.set()
        self._aside.close()
        self._database.close()

    def _sweep(self) -> None:
        while not self._is_over.is_set() and self.step():
            pass

    def _drop_partition(self, connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
        """Take the corpus's key out of Dagster, as soon as nobody can ask for a run of it any more."""
        key = receipt.partition_key
        if deletions.has_batch_since(connection, receipt, seconds=self._dispatch_seconds):
            return Slice(waits_for=DISPATCH)
        runs = self._instance.get_runs(RunsFilter(tags={tags.PARTITION: key}))
        if not all(run.is_finished for run in runs):
            return Slice(waits_for=RUN)
        if any(names(backfill, key) for backfill in self._open_backfills()):
            return Slice(waits_for=BACKFILL)
        if not self._instance.has_dynamic_partition(PARTITIONS, key):
            return Slice()
        self._instance.delete_dynamic_partition(PARTITIONS, key)
        return Slice(removed=Counter(partitions=1))

    def _open_backfills(self) -> list[PartitionBackfill]:
        return list(self._instance.get_backfills(filters=BulkActionsFilter(statuses=OPEN_BACKFILL)))


def names(backfill: PartitionBackfill, key: str) -> bool:
    """Return whether a backfill may ask for runs of a partition: it lists its keys, also when it is of all."""
    return key in serialize_value(backfill)


def _trace(receipt: OpenReceipt, done: Slice, began: datetime) -> None:
    """Tell the trace of the request, or of the crawl's, of a slice that did something; with the last, of the whole.

    The id of the span of the whole follows from the receipt: slices are below it before it has ended.
    """
    request = tracing.parse(receipt.traceparent)
    if request is None:
        return
    span_id = tracing.span_id_of(receipt.receipt_id)
    known: Mapping[str, AttributeValue] = {
        attributes.CORPUS_NAME: receipt.corpus_name,
        attributes.OPERATION: attributes.WRITE,
        attributes.REQUEST_MODE: attributes.ASYNC,
    }
    has_failed = done.waits_for == FAILURE != receipt.waits_for
    if done.removed or has_failed:
        whole = tracing.remote(request.trace_id, span_id, request.trace_flags)
        span = tracing.start(attributes.DELETE_SLICE_SPAN, known, parent=tracing.within(whole), began=began)
        if has_failed:
            tracing.fail(span, "slice_failed")
        span.end()
    if done.is_empty:
        ids = (request.trace_id, span_id)
        tracing.start(
            attributes.DELETE_SPAN, known, parent=tracing.within(request), ids=ids, began=receipt.requested_at
        ).end()


def _tell(receipt: OpenReceipt, done: Slice, sums: Counter[str]) -> None:
    name = public_id(Prefix.RECEIPT, receipt.receipt_id)
    if done.is_empty:
        found = ", ".join(f"{count} {layer}" for layer, count in sums.items()) or "nothing was there"
        logger.info("%s (%s of %s) is done: %s", name, receipt.kind, receipt.partition_key, found)
    elif done.left and done.waits_for != receipt.waits_for:
        left = ", ".join(f"{count} {layer}" for layer, count in done.left.items())
        logger.error("%s (%s of %s) is not done, nobody removes: %s", name, receipt.kind, receipt.partition_key, left)
    elif done.waits_for and done.waits_for != receipt.waits_for:
        logger.info("%s (%s of %s) waits for: %s", name, receipt.kind, receipt.partition_key, done.waits_for)
