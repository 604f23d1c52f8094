"""The live documents of a caller's corpus: those a search can find."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from resources.postgres.corpora import COUNT_CAP, CorpusKey
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDocument:
    """A document and the version of it that is live."""

    id: UUID
    url: str
    external_id: str | None
    metadata: dict[str, Any]
    title: str | None
    language: str | None
    chunk_count: int
    fetched_at: datetime
    checked_at: datetime | None
    live_version_id: UUID


async def list_documents(
    connection: AsyncConnection[TupleRow], *, caller_id: str, corpus: CorpusKey, after_id: UUID | None, limit: int
) -> list[LiveDocument]:
    """Return live documents of the caller's corpus, oldest first."""
    parameters = {"owner": corpus.owner, "name": corpus.name, "after_id": after_id, "limit": limit}
    return await fetch_as(connection, caller_id, query("list_documents"), parameters, rows=class_row(LiveDocument))


async def count_documents(connection: AsyncConnection[TupleRow], *, caller_id: str, corpus: CorpusKey) -> int | None:
    """Count live documents, up to COUNT_CAP; None when the caller has no such corpus."""
    parameters = {"owner": corpus.owner, "name": corpus.name, "cap": COUNT_CAP}
    found = await fetch_as(connection, caller_id, query("count_documents"), parameters, rows=scalar_row)
    return found[0] if found else None
