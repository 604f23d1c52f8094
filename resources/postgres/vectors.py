"""Vectors: COPY to a stage, upsert by hash, ledger, and the flip that makes a document visible, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.batches import IndexVersion
from resources.postgres.items import lock_jobs
from resources.postgres.queries import query, query_on


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVector:
    """A vector to store, its chunk's hash, who pays for it, and the tokens of its text."""

    chunk_hash: UUID
    caller_id: str
    token_count: int
    embedding: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedItem:
    """An item whose document is whole and live, and what changed in its chunks."""

    item_id: UUID
    added: int
    kept: int
    removed: int


def store(
    connection: Connection[TupleRow],
    *,
    corpus_id: UUID,
    batch_id: UUID,
    index: IndexVersion,
    vectors: Sequence[NewVector],
) -> dict[str, int]:
    """Store vectors once per (corpus, hash), one ledger row per (caller, model, hash). Needs `register_vector`.

    Returns the tokens of the new ledger rows by caller: `usage.count_texts` takes them at the end of the transaction.
    """
    if not vectors:
        return {}
    connection.execute(query("make_vector_stage"))
    with connection.cursor() as cursor:
        with cursor.copy(query("copy_vector_stage")) as copy:
            copy.set_types(["uuid", "text", "int4", "halfvec"])
            for vector in vectors:
                copy.write_row((vector.chunk_hash, vector.caller_id, vector.token_count, HalfVector(vector.embedding)))
        cursor.execute(query_on("upsert_vectors", index.relation), {"corpus_id": corpus_id, "batch_id": batch_id})
        cursor.execute(query("record_usage"), {"corpus_id": corpus_id, "model_id": index.model_id})
        return dict(cursor.fetchall())


def flip(
    connection: Connection[TupleRow], *, batch_id: UUID, index: IndexVersion, item_ids: Sequence[UUID]
) -> list[FlippedItem]:
    """Make the items' documents live where every chunk has its vector, and return those, not the others.

    Their jobs are locked first: nothing of a job goes live once its cancelling has ended the item.
    """
    if not item_ids:
        return []
    lock_jobs(connection, item_ids)
    with connection.cursor(row_factory=class_row(FlippedItem)) as cursor:
        return cursor.execute(
            query_on("flip_documents", index.relation),
            {"batch_id": batch_id, "chunking_fp": index.chunking_fp, "item_ids": list(item_ids)},
        ).fetchall()
