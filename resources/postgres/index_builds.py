"""Index versions that are filled beside the serving one, by another model or cut another way, and their flip.

Nothing here commits. The lock and the order of the steps are the caller's (resources/orchestration/reindexing.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from resources.errors import LeaseLostError
from resources.postgres.batches import IndexVersion
from resources.postgres.queries import query, query_on

SUPERSEDED = {
    "code": "superseded",
    "detail": "Pages were read anew and that index serves now: the texts that this one was cut from are gone.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DueBuild:
    """An index version that a run should fill, or let serve."""

    index_version_id: UUID
    partition_key: str
    model: str
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexBuild(IndexVersion):
    """A version that does not serve. `is_wanted`: somebody asked that it does, `is_forced` whatever it is worth."""

    kind: str
    activate: str
    is_wanted: bool
    is_forced: bool
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Totals:
    documents: int
    documents_cut: int
    chunks: int


def due(connection: Connection[TupleRow]) -> list[DueBuild]:
    """Return what nobody works on, the oldest first."""
    with connection.cursor(row_factory=class_row(DueBuild)) as cursor:
        return cursor.execute(query("due_fills")).fetchall()


def read(connection: Connection[TupleRow], *, index_version_id: UUID) -> IndexBuild:
    """Return a version that is to be filled or served. Raises LeaseLostError: it was given up, or serves by now."""
    with connection.cursor(row_factory=class_row(IndexBuild)) as cursor:
        row = cursor.execute(query("index_build"), {"index_version_id": index_version_id}).fetchone()
    if row is None or row.state not in ("building", "ready"):
        raise LeaseLostError(f"index version {index_version_id} is not to be filled any more")
    return row


def ensure_relation(connection: Connection[TupleRow], *, index: IndexVersion) -> None:
    """Make the relation of a building version that has its own; what is in it stays."""
    connection.execute(query("ensure_own_relation"), {"index_version_id": index.index_version_id})


def reuse_vectors(connection: Connection[TupleRow], *, batch_id: UUID, index: IndexVersion) -> int:
    """Copy what the corpus has of the batch's chunks by the same model in other relations, and return how many."""
    parameters = {"index_version_id": index.index_version_id, "batch_id": batch_id, "chunking_fp": index.chunking_fp}
    copied = 0
    for (relation,) in connection.execute(query("relations_of_model"), parameters).fetchall():
        statement = sql.SQL(query("reuse_vectors")).format(
            source=sql.Identifier("cixml", relation), target=sql.Identifier("cixml", index.relation)
        )
        copied += connection.execute(statement, parameters).rowcount
    return copied


def note_cut(connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion) -> None:
    """Keep how many documents are cut, for who asks; the rest is cut now."""
    totals = _totals(connection, corpus_id, index)
    connection.execute(query("note_cut"), {"index_version_id": index.index_version_id} | asdict(totals))


def advance_cut(connection: Connection[TupleRow], *, index_version_id: UUID, documents: int) -> None:
    """Count what was cut."""
    connection.execute(query("advance_cut"), {"index_version_id": index_version_id, "documents": documents})


def note(
    connection: Connection[TupleRow],
    *,
    corpus_id: UUID,
    index: IndexVersion,
    documents_missing: int,
    chunks_missing: int,
) -> None:
    """Keep how far a fill is, for who asks; vectors are made now."""
    missing = {"documents_missing": documents_missing, "chunks_missing": chunks_missing}
    totals = _totals(connection, corpus_id, index)
    connection.execute(query("note_fill"), {"index_version_id": index.index_version_id} | missing | asdict(totals))


def _totals(connection: Connection[TupleRow], corpus_id: UUID, index: IndexVersion) -> _Totals:
    parameters = {"corpus_id": corpus_id, "chunking_fp": index.chunking_fp}
    with connection.cursor(row_factory=class_row(_Totals)) as cursor:
        row = cursor.execute(query("fill_totals"), parameters).fetchone()
    assert row is not None
    return row


def advance(connection: Connection[TupleRow], *, index_version_id: UUID, documents: int, chunks: int) -> None:
    """Count what became whole."""
    parameters = {"index_version_id": index_version_id, "documents": documents, "chunks": chunks}
    connection.execute(query("advance_fill"), parameters)


def note_error(connection: Connection[TupleRow], *, index_version_id: UUID, error: Mapping[str, object]) -> None:
    """Keep why a fill stands still: it is tried again."""
    connection.execute(query("note_fill_error"), {"index_version_id": index_version_id, "error": Jsonb(dict(error))})


def refuse(connection: Connection[TupleRow], *, index_version_id: UUID, error: Mapping[str, object]) -> None:
    """Give a version up that can't become whole."""
    connection.execute(query("refuse_version"), {"index_version_id": index_version_id, "error": Jsonb(dict(error))})


def documents_not_whole(connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion) -> int:
    """Return how many live documents lack chunks or vectors of a version; reads the whole corpus."""
    row = connection.execute(
        query_on("live_documents_not_whole", index.relation),
        {"corpus_id": corpus_id, "chunking_fp": index.chunking_fp},
    ).fetchone()
    assert row is not None
    return int(row[0])


def has_graph(connection: Connection[TupleRow], *, index: IndexVersion) -> bool:
    """Return whether the version's own relation has its index, and it finds enough."""
    row = connection.execute(query("has_graph"), {"index_version_id": index.index_version_id}).fetchone()
    return bool(row and row[0])


def make_ready(connection: Connection[TupleRow], *, index_version_id: UUID) -> None:
    """Let a filled version wait for its activation; `auto` asks for that at once."""
    connection.execute(query("ready_version"), {"index_version_id": index_version_id})


def hold_claims(connection: Connection[TupleRow], *, corpus_id: UUID, seconds: float) -> None:
    """Let nothing new of the corpus be begun for a while: what is under work ends, then the delta has an end, too."""
    connection.execute(query("hold_claims"), {"corpus_id": corpus_id, "seconds": seconds})


def waits_for_ingest(connection: Connection[TupleRow], *, corpus_id: UUID) -> bool:
    """Return whether the corpus is held and pages that were begun before are still under work."""
    row = connection.execute(query("is_ingest_under_way"), {"corpus_id": corpus_id}).fetchone()
    return bool(row and row[0])


def flip(connection: Connection[TupleRow], *, corpus_id: UUID, build: IndexVersion, grace_seconds: float) -> None:
    """Let a ready version serve in place of the one that does, which may serve again until its grace is over.

    Under the corpus's lock alone, once nothing is missing. Raises LeaseLostError when it is not ready any more.
    """
    parameters = {"index_version_id": build.index_version_id, "grace_seconds": grace_seconds}
    row = connection.execute(query("retire_for"), parameters).fetchone()
    if row is None:
        raise LeaseLostError(f"index version {build.index_version_id} was given up")
    old_fp, old_id = row
    connection.execute(query("retire_promotion"), {"corpus_id": corpus_id})
    if old_fp != build.chunking_fp:
        fps = {"corpus_id": corpus_id, "old_fp": old_fp, "new_fp": build.chunking_fp}
        if connection.execute(query("exchange_texts"), fps).rowcount:
            kept = {"corpus_id": corpus_id, "kept": [build.index_version_id, old_id], "error": Jsonb(SUPERSEDED)}
            connection.execute(query("retire_others"), kept)
        connection.execute(query("set_levels"), {"corpus_id": corpus_id, "chunking_fp": build.chunking_fp})
    connection.execute(query("serve_ready_version"), parameters)
