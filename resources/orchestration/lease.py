"""The lease of a batch while a run works on it: begun once, renewed by a thread, checked by every write."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.errors import DatabaseUnavailableError, LeaseLostError
from resources.orchestration import draining, progress, tags
from resources.orchestration.batch_trace import BatchTrace
from resources.postgres import batches, items
from resources.postgres.batches import Batch
from resources.postgres.database import Database
from resources.postgres.items import EndedItem, ItemEnd
from resources.postgres.traced import TracedItem
from resources.settings import PipelineSettings
from resources.telemetry import metrics
from resources.types import BatchKind, BatchState, ItemStatus, Stage

WRITE_WAIT_SECONDS = 1.0
STOPPING = "worker_stopping"
OUTAGE_SECONDS = 240.0
OUTAGE_PAUSE_SECONDS = 2.0
_attempts = attrgetter("attempts")
logger = logging.getLogger("cixml.lease")


class Lease:
    """One batch in the hands of one run."""

    def __init__(
        self,
        batch: Batch,
        run_id: str,
        *,
        database: Database,
        heartbeat: Database,
        settings: PipelineSettings,
        traced: Sequence[TracedItem] = (),
        caused_by: str | None = None,
    ) -> None:
        self.batch = batch
        queue = tags.INGEST_QUEUE if batch.kind is BatchKind.INGEST else tags.BACKFILL_QUEUE
        self.trace = BatchTrace(batch.batch_id, traced, corpus=batch.corpus_name, queue=queue, caused_by=caused_by)
        self.trace.tell_launch()
        self.run_id = run_id
        self._database = database
        self._heartbeat = heartbeat
        self._settings = settings
        self._dropped: frozenset[UUID] = frozenset()
        self._outage: str | None = None
        self._writing = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"cixml-lease-{batch.batch_id}", daemon=True)
        self._thread.start()

    @contextmanager
    def transaction(self) -> Iterator[Connection[TupleRow]]:
        """Open a fenced transaction. Raises LeaseLostError when another attempt owns the batch: nothing is written."""
        try:
            with self._writing, self._fenced(self._database) as connection:
                yield connection
        except DatabaseUnavailableError as error:
            self._outage = error.code
            raise
        progress.mark()

    @contextmanager
    def reading(self) -> Iterator[Connection[TupleRow]]:
        """Open a transaction that only reads."""
        with self._database.transaction() as connection:
            yield connection
        progress.mark()

    def beside(self, database: Database) -> Lease:
        """Return the same lease for a thread that writes while the run does, by a connection of its own."""
        found = copy.copy(self)
        found._database, found._writing = database, threading.Lock()
        return found

    @property
    def serves(self) -> bool:
        """Return whether it is for callers' pages: what it stores has to be of the version that serves."""
        return not self.is_backfill

    @property
    def is_backfill(self) -> bool:
        """Return whether no item waits for it: only a failed run says that it is not done."""
        return self.batch.kind is BatchKind.BACKFILL

    def wants(self, item_id: UUID | None) -> bool:
        """Return whether to go on with an item: False once its job was cancelled, or the worker is to stop.

        None stands for a backfill's: no item waits for it, so it goes on while its process does.
        """
        return item_id is None or not (item_id in self._dropped or draining.is_time_to_give_back())

    def lock_jobs(self, connection: Connection[TupleRow], item_ids: Iterable[UUID]) -> None:
        """Lock the items' jobs at once, for a transaction that both ends and releases; see `items.lock_jobs`."""
        items.lock_jobs(connection, item_ids)

    def end_items(self, connection: Connection[TupleRow], ends: Sequence[ItemEnd]) -> list[EndedItem]:
        """End items in the caller's transaction; `observe` the result after it has committed."""
        return items.end(connection, batch_id=self.batch.batch_id, ends=ends)

    def release(
        self,
        connection: Connection[TupleRow],
        item_ids: Sequence[UUID],
        *,
        delay_seconds: float = 0.0,
        reason: str | None = None,
        counts_attempt: bool = False,
    ) -> list[EndedItem]:
        """Give items back to the queue; see `items.release`. Returns those that were cancelled, to `observe`."""
        return items.release(
            connection,
            batch_id=self.batch.batch_id,
            item_ids=item_ids,
            delay_seconds=delay_seconds,
            reason=reason,
            counts_attempt=counts_attempt,
        )

    def others_wait(self) -> bool:
        """Return whether another caller's item could be worked on now."""
        with self.reading() as connection:
            return batches.others_wait(connection, batch_id=self.batch.batch_id)

    def close(self) -> None:
        """End the batch. What its run left open goes back to the queue, or ends when its attempts are used up.

        A run that was cut short counts no try: by an outage of Postgres, which is waited out, or by its worker's stop.
        """
        self._is_over.set()
        self._thread.join()
        waits_until = time.monotonic() + OUTAGE_SECONDS
        try:
            while not self._try_to_close():
                if time.monotonic() > waits_until or draining.is_time_to_give_back():
                    logger.error("batch %s can't be closed: lifeline will, when Postgres is back", self.batch.batch_id)
                    return
                time.sleep(OUTAGE_PAUSE_SECONDS)
        except LeaseLostError:
            logger.warning("batch %s was taken over before its run ended", self.batch.batch_id)
        finally:
            self._heartbeat.close()

    def _try_to_close(self) -> bool:
        """End the batch, or renew its lease as far as Postgres does that; return whether it is ended."""
        try:
            with self.transaction() as connection:
                ended = give_up(
                    connection,
                    self.batch.batch_id,
                    BatchState.DONE,
                    self._settings,
                    spared_by=STOPPING if draining.is_time_to_give_back() else self._outage,
                )
        except DatabaseUnavailableError as error:
            logger.warning("batch %s waits to be closed: %s", self.batch.batch_id, error)
        else:
            self.trace.end()  # of a batch that was taken over lifeline tells
            observe(ended)
            return True
        try:
            self._beat()
        except DatabaseUnavailableError as error:
            logger.warning("batch %s: a heartbeat is missed: %s", self.batch.batch_id, error)
        return False

    def leave(self, database: Database) -> None:
        """Give everything back without a try, and let the reaper close the batch and its run: the process ends now.

        `database` is a connection of its own: the others belong to threads that may hang.
        """
        with self._fenced(database) as connection:
            batch_id = self.batch.batch_id
            item_ids = [item.item_id for item in batches.open_items(connection, batch_id=batch_id)]
            items.release(
                connection,
                batch_id=batch_id,
                item_ids=item_ids,
                delay_seconds=0.0,
                reason=STOPPING,
                counts_attempt=False,
            )
            batches.expire(connection, batch_id=batch_id)

    @contextmanager
    def _fenced(self, database: Database) -> Iterator[Connection[TupleRow]]:
        with database.transaction() as connection:
            batches.fence(connection, batch_id=self.batch.batch_id, run_id=self.run_id)
            yield connection

    def _renew(self) -> None:
        with self.trace.inside():
            self._renew_until_over()

    def _renew_until_over(self) -> None:
        while not self._is_over.wait(self._settings.heartbeat_seconds):
            try:
                is_ours = self._beat()
                self._drop_cancelled()
            except DatabaseUnavailableError as error:
                logger.warning("batch %s: a heartbeat is missed: %s", self.batch.batch_id, error)
                continue
            except LeaseLostError:
                is_ours = False
            if not is_ours:
                logger.warning("batch %s is lost: the next write will say so", self.batch.batch_id)
                return

    def _beat(self) -> bool:
        with self._heartbeat.session() as connection:
            return batches.beat(
                connection,
                batch_id=self.batch.batch_id,
                run_id=self.run_id,
                lease_seconds=self._settings.lease_seconds,
            )

    def _drop_cancelled(self) -> None:
        """End the items that are not to be worked on, between two transactions of the run: they lock the same rows."""
        with self._heartbeat.session() as connection:
            cancelled = items.cancelled(connection, batch_id=self.batch.batch_id)
        if not cancelled:
            return
        # before their end is visible: nothing of them is started after it
        self._dropped |= {end.item_id for end in cancelled}
        if not self._writing.acquire(timeout=WRITE_WAIT_SECONDS):
            return  # the run is in the middle of a long one: the next beat tries again
        try:
            with self._fenced(self._heartbeat) as connection:
                ended = items.end_cancelled(connection, batch_id=self.batch.batch_id)
        finally:
            self._writing.release()
        observe(ended)
        logger.info("batch %s: %s items were cancelled or deleted", self.batch.batch_id, len(ended))


def give_up(
    connection: Connection[TupleRow],
    batch_id: UUID,
    state: BatchState,
    settings: PipelineSettings,
    *,
    spared_by: str | None = None,
) -> list[EndedItem]:
    """End a batch whatever is left of it: open items are tried again with a backoff, exhausted ones are dead letters.

    The try that `begin` counted stays counted, unless something else was at fault (`spared_by`, which becomes the
    `waiting_reason`): then they are ready at once. A claim that no run began has counted none.
    """
    counts_attempt = spared_by is None
    open_items = batches.open_items(connection, batch_id=batch_id)
    items.lock_jobs(connection, [item.item_id for item in open_items])
    ended = items.end_cancelled(connection, batch_id=batch_id)
    exhausted = [item for item in open_items if counts_attempt and item.attempts >= settings.max_attempts]
    ended += items.end(
        connection,
        batch_id=batch_id,
        ends=[
            ItemEnd(
                item_id=item.item_id,
                status=ItemStatus.FAILED,
                failed_stage=Stage(item.status) if item.status in set(Stage) else Stage.SCRAPING,
                error={
                    "code": "attempts_exhausted",
                    "retryable": True,
                    "detail": f"The work on this page ended early {item.attempts} times.",
                },
            )
            for item in exhausted
        ],
    )
    for attempts, group in groupby(sorted(open_items, key=_attempts), key=_attempts):
        items.release(
            connection,
            batch_id=batch_id,
            item_ids=[item.item_id for item in group],
            delay_seconds=0.0 if attempts <= 1 or not counts_attempt else min(60.0, 2.0**attempts),
            reason=spared_by,
            counts_attempt=counts_attempt,
        )
    batches.finish(connection, batch_id=batch_id, state=state)
    return ended


def observe(ended: Sequence[EndedItem]) -> None:
    """Count ended items and the jobs that ended with them, after their commit."""
    for item in ended:
        stage = item.failed_stage or (Stage.SCRAPING if item.status == ItemStatus.UNCHANGED else Stage.EMBEDDING)
        metrics.items.labels(stage, item.status, item.code or "").inc()
        if item.status in (ItemStatus.INDEXED, ItemStatus.UNCHANGED):
            metrics.submit_to_searchable_seconds.observe(item.age_seconds)
    over = {item.job_id: item for item in ended if item.job_outcome is not None}
    for item in over.values():
        metrics.job_duration_seconds.labels(item.job_outcome).observe(item.job_seconds or 0.0)
