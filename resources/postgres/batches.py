"""The tables `batches` and `leases`: what one run works on, and for how long it may. Nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.errors import ConfigurationError, LeaseLostError, NotFoundError
from resources.postgres.queries import query, query_on
from resources.types import BatchKind, BatchState, Chunking, Corpus


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVersion:
    """One way to search a corpus: a model and a chunking, and the relation that holds its vectors."""

    index_version_id: UUID
    chunking: Mapping[str, Any]
    chunking_fp: str
    model_id: int
    model: str
    relation: str
    state: str = "serving"
    is_enabled: bool = True
    fill_from: str | None = None

    def is_of(self, model: str) -> bool:
        """Return whether it holds vectors of the enabled model of that name: a changed model keeps its name."""
        return self.is_enabled and self.model == model

    @property
    def has_own_relation(self) -> bool:
        """Return whether nothing but its vectors is in its relation, under a graph."""
        return self.relation == f"vectors_{self.index_version_id.hex}"

    @property
    def is_from_raw(self) -> bool:
        """Return whether it is filled by reading pages again from their bytes."""
        return self.fill_from == "raw"

    @property
    def as_chunking(self) -> Chunking:
        return Chunking(**self.chunking)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch under way, its corpus, and the index version that serves it."""

    batch_id: UUID
    kind: BatchKind
    corpus_id: UUID
    corpus_name: str
    owner: str
    serving: IndexVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingClaim:
    """A claimed batch whose run has not begun."""

    batch_id: UUID
    age_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """An item that its batch has not ended."""

    item_id: UUID
    status: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredBatch:
    """A batch whose lease ran out. `run_id` is None when no run ever began it."""

    batch_id: UUID
    run_id: str | None
    state: BatchState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBatches:
    """Whether every batch that a run owned has ended, and when the last did."""

    run_id: str
    is_over: bool
    finished_at: datetime | None


def begin(connection: Connection[TupleRow], *, batch_id: UUID, run_id: str, lease_seconds: float) -> list[float]:
    """Take a claimed batch for a run; return how long each item that no run had before waited for that, in seconds.

    Raises LeaseLostError when it is no longer claimed: the run ends without work.
    """
    row = connection.execute(
        query("begin_batch"), {"batch_id": batch_id, "run_id": run_id, "lease_seconds": lease_seconds}
    ).fetchone()
    if row is None:
        raise LeaseLostError(f"batch {batch_id} is no longer claimed")
    waited: list[float] = row[1]
    return waited


def facts(connection: Connection[TupleRow], *, batch_id: UUID) -> Batch:
    """Return what the run has to know of its batch."""
    row = connection.execute(query("batch_facts"), {"batch_id": batch_id}).fetchone()
    if row is None:
        raise LeaseLostError(f"batch {batch_id} is gone")
    serving = IndexVersion(
        index_version_id=row[5],
        chunking=row[6],
        chunking_fp=row[7],
        model_id=row[8],
        model=row[9],
        relation=row[10],
        is_enabled=row[11],
    )
    return Batch(
        batch_id=row[0], kind=BatchKind(row[1]), corpus_id=row[2], corpus_name=row[3], owner=row[4], serving=serving
    )


def beat(connection: Connection[TupleRow], *, batch_id: UUID, run_id: str, lease_seconds: float) -> bool:
    """Renew the lease; False when it is lost."""
    cursor = connection.execute(
        query("beat_batch"), {"batch_id": batch_id, "run_id": run_id, "lease_seconds": lease_seconds}
    )
    return cursor.rowcount == 1


def fence(connection: Connection[TupleRow], *, batch_id: UUID, run_id: str) -> None:
    """Hold the batch to the end of this transaction.

    Raises LeaseLostError when another attempt owns it, or its corpus is deleted.
    """
    if connection.execute(query("fence_batch"), {"batch_id": batch_id, "run_id": run_id}).fetchone() is None:
        raise LeaseLostError(f"batch {batch_id} belongs to another run now, or its corpus is deleted")


def finish(connection: Connection[TupleRow], *, batch_id: UUID, state: BatchState) -> None:
    """End the batch, drop what leases are left, and wake the sensor: a slot is free."""
    connection.execute(query("drop_leases"), {"batch_id": batch_id})
    connection.execute(query("finish_batch"), {"batch_id": batch_id, "state": state})
    connection.execute(query("notify_jobs"))


def expire(connection: Connection[TupleRow], *, batch_id: UUID) -> None:
    """End the lease now: the reaper takes the batch over at its next look, and closes its run."""
    connection.execute(query("expire_batch"), {"batch_id": batch_id})


def expired(connection: Connection[TupleRow]) -> ExpiredBatch | None:
    """Return a batch whose lease ran out, locked to the end of this transaction."""
    with connection.cursor(row_factory=class_row(ExpiredBatch)) as cursor:
        return cursor.execute(query("expired_batch")).fetchone()


def claims_older_than(connection: Connection[TupleRow], *, seconds: float) -> list[WaitingClaim]:
    """Return the batches that were claimed so long ago and still wait for their run."""
    with connection.cursor(row_factory=class_row(WaitingClaim)) as cursor:
        return cursor.execute(query("claims_older_than"), {"seconds": seconds}).fetchall()


def prolong_claim(connection: Connection[TupleRow], *, batch_id: UUID, seconds: float) -> None:
    """Let a claim wait for its run so long from now, at least."""
    connection.execute(query("prolong_claim"), {"batch_id": batch_id, "seconds": seconds})


def lapse(connection: Connection[TupleRow], *, batch_id: UUID) -> None:
    """Let a claim expire now."""
    connection.execute(query("lapse_claim"), {"batch_id": batch_id})


def open_items(connection: Connection[TupleRow], *, batch_id: UUID) -> list[OpenItem]:
    """Return the items of the batch that have not ended."""
    with connection.cursor(row_factory=class_row(OpenItem)) as cursor:
        return cursor.execute(query("open_items"), {"batch_id": batch_id}).fetchall()


def others_wait(connection: Connection[TupleRow], *, batch_id: UUID) -> bool:
    """Return whether another caller's item could be worked on now."""
    row = connection.execute(query("others_wait"), {"batch_id": batch_id}).fetchone()
    return bool(row and row[0])


def of_runs(connection: Connection[TupleRow], *, run_ids: Sequence[str]) -> dict[str, RunBatches]:
    """Return what became of the batches of these Dagster runs."""
    with connection.cursor(row_factory=class_row(RunBatches)) as cursor:
        rows = cursor.execute(query("batches_of_runs"), {"run_ids": list(run_ids)}).fetchall()
    return {row.run_id: row for row in rows}


def corpus_of_partition(connection: Connection[TupleRow], *, partition_key: str) -> Corpus:
    """Return the living corpus of a partition. Raises NotFoundError."""
    with connection.cursor(row_factory=class_row(Corpus)) as cursor:
        row = cursor.execute(query("corpus_of_partition"), {"partition_key": partition_key}).fetchone()
    if row is None:
        raise NotFoundError(f"no corpus has the partition {partition_key!r}: it was deleted, or never made")
    return row


def open_refresh(
    connection: Connection[TupleRow],
    *,
    corpus_id: UUID,
    run_id: str,
    older_than_seconds: float,
    limit: int,
    lease_seconds: float,
) -> UUID | None:
    """Make a job, leased by this run, of the documents not checked for `older_than_seconds`. None: nothing is due."""
    row = connection.execute(
        query("open_refresh_batch"),
        {
            "corpus_id": corpus_id,
            "run_id": run_id,
            "older_than_seconds": older_than_seconds,
            "limit": limit,
            "lease_seconds": lease_seconds,
        },
    ).fetchone()
    return None if row is None else row[0]


def open_backfill(
    connection: Connection[TupleRow], *, corpus_id: UUID, run_id: str, index: IndexVersion, lease_seconds: float
) -> UUID:
    """Make a batch of the live documents that lack chunks or vectors of `index`; it may be empty.

    Raises LeaseLostError when the corpus was deleted just now.
    """
    row = connection.execute(
        query_on("open_backfill_batch", index.relation),
        {
            "corpus_id": corpus_id,
            "run_id": run_id,
            "model_id": index.model_id,
            "index_version_id": index.index_version_id,
            "chunking_fp": index.chunking_fp,
            "lease_seconds": lease_seconds,
        },
    ).fetchone()
    if row is None:
        raise LeaseLostError("the corpus was deleted while the run began")
    batch_id: UUID = row[0]
    return batch_id


def index_of_model(connection: Connection[TupleRow], *, corpus_id: UUID, model: str) -> IndexVersion | None:
    """Return the corpus's index version for a model: the serving one first, else the newest that is not retired."""
    with connection.cursor(row_factory=class_row(IndexVersion)) as cursor:
        return cursor.execute(query("index_version_of_model"), {"corpus_id": corpus_id, "model": model}).fetchone()


def serving_index(connection: Connection[TupleRow], *, corpus_id: UUID) -> IndexVersion:
    """Return what serves a corpus: every living one has it. Raises LeaseLostError when it was deleted just now."""
    with connection.cursor(row_factory=class_row(IndexVersion)) as cursor:
        row = cursor.execute(query("serving_index_version"), {"corpus_id": corpus_id}).fetchone()
    if row is None:
        raise LeaseLostError("the corpus was deleted while a run worked on it")
    return row


def create_building(
    connection: Connection[TupleRow], *, corpus_id: UUID, model: str, like: IndexVersion, exact_numbers: int
) -> IndexVersion:
    """Make an index version of `model` beside the serving one, over the same chunks; a backfill fills it.

    With more numbers in its vectors than `exact_numbers` it gets a relation of its own.
    """
    with connection.cursor(row_factory=class_row(IndexVersion)) as cursor:
        row = cursor.execute(
            query("create_building_version"),
            {
                "corpus_id": corpus_id,
                "model": model,
                "chunking": Jsonb(dict(like.chunking)),
                "chunking_fp": like.chunking_fp,
                "numbers": exact_numbers,
            },
        ).fetchone()
    if row is None:
        raise ConfigurationError(
            f"the model {model!r} is not enabled in the database: run 'cixml migrate'; or the corpus was just deleted"
        )
    return row
