"""Answers kept for requests with an Idempotency-Key, in the transaction of what the request makes.

One system, one commit: a key that is taken without its job, or a job without its key, can't be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request and the scope of its key. `body_sha256` is of the body's canonical form."""

    caller_id: str
    method: str
    path: str
    key: str
    body_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What was answered first, and the hash of the body that it was answered to."""

    body_sha256: bytes
    status: int
    location: str | None
    answer: bytes


async def find_answer(connection: AsyncConnection[TupleRow], request: KeyedRequest) -> KeptAnswer | None:
    """Return the answer kept for the key; wait for a request under way with the same one. Call it first."""
    await connection.execute(query("lock_idempotency_key"), asdict(request))
    cursor = connection.cursor(row_factory=class_row(KeptAnswer))
    await cursor.execute(query("kept_answer"), asdict(request))
    return await cursor.fetchone()


async def keep_answer(
    connection: AsyncConnection[TupleRow], request: KeyedRequest, *, status: int, location: str | None, answer: bytes
) -> None:
    """Keep what is answered, if this transaction commits."""
    parameters = asdict(request) | {"status": status, "location": location, "answer": answer}
    await connection.execute(query("keep_answer"), parameters)
