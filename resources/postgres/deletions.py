"""Deletion as the sweeper does it: what a receipt deletes, removed slice by slice, in the order of its layers.

A slice is one transaction and counts itself in the receipt, so a killed sweeper's work is gone on with. Locks: the
receipt, then the corpus's lock alone (nobody stores in it meanwhile), then rows. Nothing here commits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg import Connection, errors
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.postgres import batches, corpus_lock, items, stale_vectors
from resources.postgres.batches import ExpiredBatch
from resources.postgres.items import ItemEnd
from resources.postgres.queries import query, query_on
from resources.types import BatchState, ItemStatus

ITEMS_AT_ONCE = 1000
DOCUMENTS_AT_ONCE = 50
CHUNKS_AT_ONCE = 2000
LOCK_WAIT_SECONDS = 1.0
PAUSE_SECONDS = 2.0
WRITER, RUN, ITEM, INDEX_BUILD = "writer", "run", "item", "index_build"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReceipt:
    """A deletion under way, locked to the end of the transaction."""

    receipt_id: UUID
    kind: str
    corpus_id: UUID
    removed: Mapping[str, int]
    waits_for: str | None
    requested_at: datetime
    traceparent: str | None
    partition_key: str
    corpus_name: str

    @property
    def is_of_corpus(self) -> bool:
        return self.kind == "corpus"

    @property
    def parameters(self) -> dict[str, object]:
        return {
            "receipt_id": self.receipt_id,
            "corpus_id": self.corpus_id,
            "whole_corpus": self.corpus_id if self.is_of_corpus else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one slice removed, by layer. `waits_for`: why there is more that it could not take now.

    `left` is what no part of the removal found, though it is there.
    """

    removed: Counter[str] = field(default_factory=Counter)
    waits_for: str | None = None
    left: Counter[str] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        return not self.removed and self.waits_for is None


def take(connection: Connection[TupleRow]) -> OpenReceipt | None:
    """Return the next deletion to go on with; None when each is done, waits or is in another sweeper's hands."""
    with connection.cursor(row_factory=class_row(OpenReceipt)) as cursor:
        return cursor.execute(query("take_receipt")).fetchone()


def keep(connection: Connection[TupleRow], receipt: OpenReceipt, done: Slice) -> Counter[str]:
    """Write into the receipt what a slice did, and return the sums. A slice of nothing was the last: it is done."""
    removed = Counter(receipt.removed) + done.removed
    connection.execute(
        query("keep_receipt"),
        {
            "receipt_id": receipt.receipt_id,
            "removed": Jsonb(dict(removed)),
            "waits_for": done.waits_for,
            "is_done": done.is_empty,
            "pause_seconds": PAUSE_SECONDS,
        },
    )
    return removed


def remove_slice(connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
    """Remove one slice of the first layer that has anything left. Empty: no layer has.

    A lock that is not to be had soon is waited for by the next try: who comes after would queue behind this one.
    """
    for part in CORPUS_PARTS if receipt.is_of_corpus else DOCUMENT_PARTS:
        try:
            with connection.transaction():
                done = part(connection, receipt)
        except errors.LockNotAvailable:
            return Slice(waits_for=WRITER)
        if not done.is_empty:
            return done
    return Slice()


def has_batch_since(connection: Connection[TupleRow], receipt: OpenReceipt, *, seconds: float) -> bool:
    """Return whether a batch of the corpus is so young that the sensor may still ask for its run."""
    return _exists(connection, "batches_since", receipt.parameters | {"seconds": seconds})


def left_of(connection: Connection[TupleRow], receipt: OpenReceipt) -> Counter[str]:
    """Return what there still is of a corpus of which every layer was found empty: nothing, or a defect of ours.

    A receipt says that nothing is left: who removes is not who counts.
    """
    found = Counter[str](dict(connection.execute(query("left_of_corpus"), receipt.parameters).fetchall()))
    for (relation,) in connection.execute(query("model_relations")).fetchall():
        row = connection.execute(query_on("count_vectors_of_corpus", relation), receipt.parameters).fetchone()
        assert row is not None
        found["vectors"] += row[0]
    return +found


def _end_waiting_items(connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
    """End what is in the queue: cancelled with its corpus, skipped with its document."""
    rows = connection.execute(query("items_of_deletion"), receipt.parameters | {"limit": ITEMS_AT_ONCE}).fetchall()
    item_ids = [row[0] for row in rows]
    if not item_ids:
        return Slice()
    items.lock_jobs(connection, item_ids)
    status = ItemStatus.CANCELLED if receipt.is_of_corpus else ItemStatus.SKIPPED
    row = connection.execute(query("end_waiting_items"), {"item_ids": item_ids, "status": status}).fetchone()
    assert row is not None
    return Slice(removed=+Counter(items=row[0], jobs=row[1]), waits_for=None if row[0] else RUN)


def _close_batch(connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
    """Take one open batch from its run, whose next write finds none, and end its items as cancelled."""
    with connection.cursor(row_factory=class_row(ExpiredBatch)) as cursor:
        batch = cursor.execute(query("batch_of_corpus"), receipt.parameters).fetchone()
    if batch is None:
        is_writing = _exists(connection, "has_open_batch", receipt.parameters)
        return Slice(waits_for=WRITER if is_writing else None)
    item_ids = [item.item_id for item in batches.open_items(connection, batch_id=batch.batch_id)]
    items.lock_jobs(connection, item_ids)
    jobs = connection.execute(query("cancel_jobs_of_items"), {"item_ids": item_ids}).rowcount
    ends = [ItemEnd(item_id=item_id, status=ItemStatus.CANCELLED) for item_id in item_ids]
    ended = items.end(connection, batch_id=batch.batch_id, ends=ends)
    batches.finish(connection, batch_id=batch.batch_id, state=BatchState.LOST)
    return Slice(removed=+Counter(batches=1, items=len(ended), jobs=jobs))


def _remove_documents(connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
    """Remove documents, versions, chunks, the vectors that nothing else uses, and bodies, in one transaction.

    A document stays while an item of its page is under work: its run drops it with the next heartbeat.
    """
    if not corpus_lock.take(connection, corpus_id=receipt.corpus_id, wait_seconds=LOCK_WAIT_SECONDS):
        return Slice(waits_for=WRITER)
    if stale_vectors.is_building(connection, corpus_id=receipt.corpus_id):
        return Slice(waits_for=INDEX_BUILD)  # its copy would keep what leaves the original
    row = connection.execute(
        query("remove_documents"), receipt.parameters | {"limit": CHUNKS_AT_ONCE, "documents": DOCUMENTS_AT_ONCE}
    ).fetchone()
    assert row is not None
    documents, versions, chunk_sets, chunks, lexemes, hashes, bodies = row
    if not documents and not versions:
        is_left = _exists(connection, "has_documents_of_deletion", receipt.parameters)
        return Slice(waits_for=ITEM if is_left else None)
    removed = Counter(documents=documents, versions=versions, chunk_sets=chunk_sets, chunks=chunks, lexemes=lexemes)
    if hashes:
        removed["vectors"] = stale_vectors.remove(connection, corpus_id=receipt.corpus_id, hashes=hashes)
    if bodies:
        connection.execute(query("lock_page_bodies"))
        removed["page_bodies"] = connection.execute(query("prune_page_bodies"), {"orphans": bodies}).rowcount
    return Slice(removed=+removed)


def _retire_versions(connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
    """Let nothing serve the corpus: its relations may go then."""
    connection.execute(query("retire_versions"), receipt.parameters)
    return Slice()


def _remove_vectors(connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
    """Drop the corpus's own relations, and take its vectors out of those that all share: few, or it had its own."""
    removed: Counter[str] = Counter()
    for index_version_id, relation in connection.execute(query("own_relations"), receipt.parameters).fetchall():
        row = connection.execute(query_on("count_vectors", relation)).fetchone()
        assert row is not None
        connection.execute(query("drop_own_relation"), {"index_version_id": index_version_id})
        removed.update(vectors=row[0], relations=1)
    for (relation,) in connection.execute(query("model_relations")).fetchall():
        removed["vectors"] += connection.execute(query_on("remove_vectors", relation), receipt.parameters).rowcount
    return Slice(removed=+removed)


def _remove_corpus_rows(connection: Connection[TupleRow], receipt: OpenReceipt) -> Slice:
    """Remove index versions, levels and grants, once the relations are gone."""
    row = connection.execute(query("remove_corpus_rows"), receipt.parameters).fetchone()
    assert row is not None
    return Slice(removed=+Counter(index_versions=row[0], grants=row[1]))


def _exists(connection: Connection[TupleRow], name: str, parameters: Mapping[str, object]) -> bool:
    row = connection.execute(query(name), parameters).fetchone()
    return bool(row and row[0])


CORPUS_PARTS = (
    _end_waiting_items,
    _close_batch,
    _retire_versions,
    _remove_documents,
    _remove_vectors,
    _remove_corpus_rows,
)
DOCUMENT_PARTS = (_end_waiting_items, _remove_documents)
"""In this order: nothing that an earlier one removes can come again once it found nothing."""
