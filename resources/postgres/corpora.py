"""The corpora that a caller owns or was granted: made with the index that serves them, read, listed, changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow, class_row, scalar_row
from psycopg.types.json import Jsonb

from resources.fingerprints import chunking_fingerprint
from resources.identifiers import new_uuid, short_id
from resources.postgres.pool import fetch_as
from resources.postgres.queries import query
from resources.types import NO_EXCLUSIONS, Chunking, Exclusions

COUNT_CAP = 10_001
"""Totals are exact up to one less; counting further costs time that no reader of a list gains from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIndex:
    """What the first index version of a new corpus is made of. The window is the model's, in tokens."""

    model_fingerprint: str
    chunking: Chunking
    chunking_fp: str
    window_tokens: int
    tokenizer_sha256: str

    def cut(self, chunking: Chunking) -> NewIndex:
        """Return the same, cut another way."""
        return replace(self, chunking=chunking, chunking_fp=chunking_fingerprint(chunking, self.tokenizer_sha256))


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusKey:
    """How a caller names a corpus: unique among the living."""

    owner: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSummary:
    """A corpus with what is live in it. Times are of checks: when its pages were last found current.

    `role` is the reading caller's; `grants` are None for who does not own it. `version` counts changes of settings.
    """

    id: UUID
    owner: str
    name: str
    role: str
    partition_key: str
    title: str | None
    require_if_match: bool
    exclusions: dict[str, list[str]]
    version: int
    created_at: datetime
    updated_at: datetime
    documents: int
    chunks: int
    bytes: int
    oldest_check_at: datetime | None
    newest_check_at: datetime | None
    index_versions: Sequence[dict[str, Any]]
    grants: Sequence[dict[str, Any]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusAccess:
    """A corpus and what the caller may do in it: `role` is reader, writer or owner."""

    id: UUID
    owner: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingIndex:
    """The index version that answers the searches of a corpus, and its model."""

    id: UUID
    corpus_id: UUID
    chunking_fp: str
    relation: str
    kind: str
    ef_search: int
    model: str
    fingerprint: str
    dimension: int


async def ensure_corpus(
    connection: AsyncConnection[TupleRow],
    *,
    caller_id: str,
    name: str,
    index: NewIndex,
    title: str | None = None,
    require_if_match: bool = False,
    exclusions: Exclusions = NO_EXCLUSIONS,
) -> tuple[AsyncCursor[TupleRow], AsyncCursor[TupleRow]]:
    """Make the corpus and its serving index version unless the caller has the corpus.

    Returns the cursors of both statements: once the pipeline is synced, their row counts must be equal.
    """
    corpus_id = new_uuid()
    key = f"{name}-{short_id(corpus_id)}"
    corpus = await connection.execute(
        query("ensure_corpus"),
        {
            "corpus_id": corpus_id,
            "caller_id": caller_id,
            "name": name,
            "partition_key": key,
            "title": title,
            "require_if_match": require_if_match,
            "exclusions": Jsonb(asdict(exclusions)),
        },
    )
    version = await connection.execute(
        query("ensure_serving_index"),
        {
            "corpus_id": corpus_id,
            "chunking": Jsonb(asdict(index.chunking)),
            "chunking_fp": index.chunking_fp,
            "model_fingerprint": index.model_fingerprint,
        },
    )
    return corpus, version


async def get_access(connection: AsyncConnection[TupleRow], *, caller_id: str, key: CorpusKey) -> CorpusAccess | None:
    """Return the corpus and the caller's role; None when there is none that the caller may see."""
    parameters = {"owner": key.owner, "name": key.name}
    found = await fetch_as(connection, caller_id, query("corpus_access"), parameters, rows=class_row(CorpusAccess))
    return found[0] if found else None


async def get_corpus(connection: AsyncConnection[TupleRow], *, caller_id: str, key: CorpusKey) -> CorpusSummary | None:
    """Return one corpus that the caller may see."""
    found = await _read(connection, caller_id, owner=key.owner, name=key.name, limit=1)
    return found[0] if found else None


async def list_corpora(
    connection: AsyncConnection[TupleRow], *, caller_id: str, after: CorpusKey | None, limit: int
) -> list[CorpusSummary]:
    """Return what the caller may see, by name and owner."""
    place = {"after_name": after.name, "after_owner": after.owner} if after else {}
    return await _read(connection, caller_id, limit=limit, **place)


async def count_corpora(connection: AsyncConnection[TupleRow], *, caller_id: str) -> int:
    """Count what the caller may see, up to COUNT_CAP."""
    found = await fetch_as(connection, caller_id, query("count_corpora"), {"cap": COUNT_CAP}, rows=scalar_row)
    return int(found[0])


async def patch_corpus(
    connection: AsyncConnection[TupleRow],
    *,
    corpus: CorpusSummary,
    title: str | None,
    require_if_match: bool | None,
    exclusions: Exclusions | None,
) -> bool:
    """Change settings in an owner's transaction; False when somebody changed them since `corpus` was read.

    `title` is set as given; None for the others leaves them.
    """
    cursor = await connection.execute(
        query("patch_corpus"),
        {
            "corpus_id": corpus.id,
            "version": corpus.version,
            "title": title,
            "require_if_match": require_if_match,
            "exclusions": exclusions and Jsonb(asdict(exclusions)),
        },
    )
    return await cursor.fetchone() is not None


async def put_grant(connection: AsyncConnection[TupleRow], *, corpus_id: UUID, grantee: str, role: str) -> None:
    """Give a caller a role in an owner's transaction, in place of the one it had."""
    await connection.execute(query("put_grant"), {"corpus_id": corpus_id, "grantee": grantee, "role": role})


async def drop_grant(connection: AsyncConnection[TupleRow], *, corpus_id: UUID, grantee: str) -> None:
    """Take a caller's role away in an owner's transaction. Idempotent."""
    await connection.execute(query("drop_grant"), {"corpus_id": corpus_id, "grantee": grantee})


async def serving_index(
    connection: AsyncConnection[TupleRow], *, caller_id: str, key: CorpusKey
) -> ServingIndex | None:
    """Return what serves a corpus; None when there is none that the caller may see."""
    parameters = {"owner": key.owner, "name": key.name}
    found = await fetch_as(connection, caller_id, query("serving_index"), parameters, rows=class_row(ServingIndex))
    return found[0] if found else None


async def _read(
    connection: AsyncConnection[TupleRow],
    caller_id: str,
    *,
    limit: int,
    owner: str | None = None,
    name: str | None = None,
    after_name: str | None = None,
    after_owner: str | None = None,
) -> list[CorpusSummary]:
    parameters = {
        "owner": owner,
        "name": name,
        "after_name": after_name,
        "after_owner": after_owner,
        "limit": limit,
    }
    return await fetch_as(connection, caller_id, query("read_corpora"), parameters, rows=class_row(CorpusSummary))
