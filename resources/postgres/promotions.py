"""Index versions with a relation of their own: asked for, built beside what serves, flipped, cleared up after.

Nothing here commits. The lock and the order of the steps are the caller's (resources/orchestration/promotion.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import LiteralString
from uuid import UUID

from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow, class_row

from resources.errors import LeaseLostError
from resources.postgres import claims, corpus_lock
from resources.postgres.batches import IndexVersion
from resources.postgres.graph_upkeep import NOTHING, URGENT, Upkeep
from resources.postgres.queries import query, query_on

REFERENCE_DIMENSION = 384
"""Thresholds are in rows of so many dimensions. What an exact scan costs is bytes: half the rows at twice the width."""
M = 16
EF_CONSTRUCTION = 128
"""Recall@10 of 0.999 at ef_search 80 on real vectors, equal from build to build within 0.0005. 64 builds 1.4 times
faster and lets a bad graph pass on clustered data; 200 gains 0.0015."""
BUILD_BYTES_A_ROW = 300
MOST_BUILD_KILOBYTES = 2**20
DROP_WAIT_MILLISECONDS = 2000
SLICE = 2000
SETS_AT_ONCE = 100
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuePromotion:
    """An index version that a run should build, or clear up after."""

    index_version_id: UUID
    partition_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPromotion:
    """A build under lease."""

    batch_id: UUID
    index_version_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """What came after a mark: chunk sets above `last_set`, and those up to it that were not live and may still be."""

    last_set: int
    pending: list[int]


def ask(connection: Connection[TupleRow], *, corpus_id: UUID, promote_rows: int, upkeep: Upkeep = NOTHING) -> bool:
    """Ask for a relation of its own for a corpus that outgrew the exact scan, for the way back, or for a graph anew.

    `upkeep`: what the graph that serves needs. False when there is no reason to, or it was asked.
    """
    numbers = promote_rows * REFERENCE_DIMENSION
    parameters = {
        "corpus_id": corpus_id,
        "numbers": numbers,
        "urgent_numbers": URGENT * numbers,
        "is_outgrown": upkeep.is_outgrown,
        "is_urgent": upkeep.is_urgent,
    }
    return connection.execute(query("ask_promotion"), parameters).rowcount == 1


def due(connection: Connection[TupleRow], *, quiet_seconds: float) -> list[DuePromotion]:
    """Return what nobody works on and may start, the oldest first."""
    with connection.cursor(row_factory=class_row(DuePromotion)) as cursor:
        return cursor.execute(query("due_promotions"), {"quiet_seconds": quiet_seconds}).fetchall()


def open_build(
    connection: Connection[TupleRow], *, corpus_id: UUID, run_id: str, lease_seconds: float
) -> OpenPromotion | None:
    """Lease the corpus's building version to a run. None: there is none, or another run builds it."""
    corpus_lock.share(connection, corpus_id=corpus_id)  # a sweep is over, or sees the lease
    claims.lock_claims(connection)  # after it: all claims would wait for a flip of this corpus
    with connection.cursor(row_factory=class_row(OpenPromotion)) as cursor:
        return cursor.execute(
            query("open_promotion_batch"), {"corpus_id": corpus_id, "run_id": run_id, "lease_seconds": lease_seconds}
        ).fetchone()


def index_version(connection: Connection[TupleRow], *, index_version_id: UUID) -> IndexVersion:
    """Return one index version."""
    with connection.cursor(row_factory=class_row(IndexVersion)) as cursor:
        row = cursor.execute(query("index_version"), {"index_version_id": index_version_id}).fetchone()
    assert row is not None
    return row


def current(connection: Connection[TupleRow], index: IndexVersion, *, serves: bool = True) -> IndexVersion:
    """Return where the vectors of `index` go now: a promotion may have replaced it since the run began.

    Ask under the corpus's lock: the answer holds to the end of the transaction. `serves`: it is for callers' pages, so
    it has to serve. Raises LeaseLostError when another model or chunking took over: the run's work is not for that.
    """
    with connection.cursor(row_factory=class_row(IndexVersion)) as cursor:
        row = cursor.execute(
            query("current_index_version"), {"index_version_id": index.index_version_id, "serves": serves}
        ).fetchone()
    if row is None:
        raise LeaseLostError(f"index version {index.index_version_id} was replaced while the run filled it")
    return row


def make_relation(connection: Connection[TupleRow], *, index: IndexVersion) -> None:
    """Make the relation of a building version, empty."""
    connection.execute(query("make_own_relation"), {"index_version_id": index.index_version_id})


def mark(connection: Connection[TupleRow]) -> int:
    """Return the last chunk set there is. Under the corpus's lock: its own up to this one are committed."""
    row = connection.execute(query("last_chunk_set")).fetchone()
    assert row is not None
    return int(row[0])


def since(connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion, last_set: int) -> Since:
    """Return what may get vectors or go live after a mark. Asked after its transaction, without the lock."""
    rows = connection.execute(
        query("pending_chunk_sets"),
        {"corpus_id": corpus_id, "chunking_fp": index.chunking_fp, "last_set": last_set},
    ).fetchall()
    return Since(last_set=last_set, pending=[row[0] for row in rows])


def copy_missing(
    connection: Connection[TupleRow], *, corpus_id: UUID, source: IndexVersion, target: IndexVersion
) -> int:
    """Copy all vectors of the corpus that the target lacks, and return how many; reads the whole corpus."""
    statement = _from_to("copy_vectors", source, target)
    return connection.execute(statement, {"corpus_id": corpus_id}).rowcount


def copy_new(
    connection: Connection[TupleRow],
    *,
    corpus_id: UUID,
    source: IndexVersion,
    target: IndexVersion,
    after: Since,
    limit: int,
) -> int:
    """Copy up to `limit` vectors that came after a mark, and return how many."""
    statement = _from_to("copy_new_vectors", source, target)
    return connection.execute(statement, {"corpus_id": corpus_id, "limit": limit} | asdict(after)).rowcount


def _from_to(name: LiteralString, source: IndexVersion, target: IndexVersion) -> sql.Composed:
    return sql.SQL(query(name)).format(
        source=sql.Identifier("cixml", source.relation), target=sql.Identifier("cixml", target.relation)
    )


def count(connection: Connection[TupleRow], *, index: IndexVersion) -> int:
    """Return how many vectors a relation of one corpus holds."""
    row = connection.execute(query_on("count_vectors", index.relation)).fetchone()
    assert row is not None
    return int(row[0])


def divide(connection: Connection[TupleRow], *, index: IndexVersion) -> None:
    """Make of what the relation holds the part that the graph is built over; what comes from now on is beside it."""
    connection.execute(query("divide_own_relation"), {"index_version_id": index.index_version_id})


def build(connection: Connection[TupleRow], *, index: IndexVersion, rows: int, dimension: int) -> None:
    """Build the graph of a divided relation, in memory as far as the cap goes."""
    kilobytes = int(rows * (dimension * 2 + BUILD_BYTES_A_ROW) * 1.3) // 1024
    connection.execute(query("set_build_memory"), {"kilobytes": str(min(max(kilobytes, 2**16), MOST_BUILD_KILOBYTES))})
    connection.execute(
        query("build_hnsw"),
        {"index_version_id": index.index_version_id, "m": M, "ef_construction": EF_CONSTRUCTION},
    )


def note_built(connection: Connection[TupleRow], *, index: IndexVersion, rows: int) -> None:
    """Note over how many rows a graph was built that finds enough."""
    connection.execute(query("note_built"), {"index_version_id": index.index_version_id, "rows": rows})


def live_chunks_without_vector(
    connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion, after: Since
) -> int:
    """Return how many chunks that were live at a mark the index can't find; reads the whole corpus."""
    return _missing(connection, "live_chunks_without_vector", corpus_id, index, after)


def new_live_chunks_without_vector(
    connection: Connection[TupleRow], *, corpus_id: UUID, index: IndexVersion, after: Since
) -> int:
    """Return how many chunks that went live after a mark the index can't find."""
    return _missing(connection, "new_live_chunks_without_vector", corpus_id, index, after)


def _missing(
    connection: Connection[TupleRow], name: LiteralString, corpus_id: UUID, index: IndexVersion, after: Since
) -> int:
    parameters = {"corpus_id": corpus_id, "chunking_fp": index.chunking_fp} | asdict(after)
    row = connection.execute(query_on(name, index.relation), parameters).fetchone()
    return row[0] if row else 0


def flip(connection: Connection[TupleRow], *, index: IndexVersion) -> bool:
    """Let a building version serve in place of the one it was built from; False when that no longer serves."""
    parameters = {"index_version_id": index.index_version_id}
    if connection.execute(query("retire_serving"), parameters).rowcount != 1:
        return False
    connection.execute(query("serve_version"), parameters)
    return True


def leftovers(connection: Connection[TupleRow], *, corpus_id: UUID) -> list[UUID]:
    """Return the retired versions to clear up after."""
    return [row[0] for row in connection.execute(query("leftovers"), {"corpus_id": corpus_id}).fetchall()]


def clear_slice(
    connection: Connection[TupleRow], *, corpus_id: UUID, index_version_id: UUID, after: UUID = FIRST
) -> UUID | None:
    """Remove a slice of a retired version's vectors, or its own relation; then of chunk sets that were its alone.

    Returns where the next slice begins.

    None: there is no next, or another run is at it. A relation under a search is not waited for long, since the
    searches that come after queue behind: the next run tries again.
    """
    parameters = {"index_version_id": index_version_id}
    row = connection.execute(query("take_leftover"), parameters).fetchone()
    if row is None:
        return None
    relation, kind, is_shared = row
    if kind == "hnsw":
        if not _drop(connection, index_version_id):
            return None
    elif not is_shared:
        last = connection.execute(
            query_on("delete_slice", relation), {"corpus_id": corpus_id, "after": after, "limit": SLICE}
        ).fetchone()
        if last is not None:
            return UUID(str(last[0]))
    if connection.execute(query("delete_chunk_sets_slice"), parameters | {"limit": SETS_AT_ONCE}).rowcount:
        return LAST
    connection.execute(query("forget_chunking"), parameters)
    connection.execute(query("mark_released"), parameters)
    return None


def _drop(connection: Connection[TupleRow], index_version_id: UUID) -> bool:
    try:
        with connection.transaction():
            connection.execute(query("set_lock_timeout"), {"milliseconds": str(DROP_WAIT_MILLISECONDS)})
            connection.execute(query("drop_own_relation"), {"index_version_id": index_version_id})
    except (errors.LockNotAvailable, errors.DeadlockDetected):
        return False
    return True
