"""The text layer of a version, its chunk sets, and the chunks whose vectors a model still owes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres import lexemes
from resources.postgres.lexemes import ChunkLexemes
from resources.postgres.pages import VersionToChunk
from resources.postgres.queries import query, query_on
from resources.types import ExtractedDocument, TextChunk

CHUNK_NAMESPACE = UUID("6f1c1f2e-6a3b-5d0e-9d6c-1f3a5b7c9d11")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkedVersion:
    """A version with its text and chunks, ready to store."""

    version: VersionToChunk
    document: ExtractedDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchChunk:
    """One chunk of the batch's documents. `item_id` is None in a backfill."""

    item_id: UUID | None
    document_id: UUID
    caller_id: str
    chunk_hash: UUID
    token_count: int
    is_stored: bool


def chunk_hash(text: str) -> UUID:
    """Return the key of a vector: the hash of the exact text (BLAKE2b, 128 bits, in uuid's fixed width)."""
    return UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())


def chunk_id(version: VersionToChunk, chunk: TextChunk, text_hash: UUID) -> UUID:
    """Return the public id of a chunk: the same page, place and text give the same id, also after a rebuild."""
    return uuid5(CHUNK_NAMESPACE, f"{version.corpus_id}|{version.url_key}|{chunk.ordinal}|{text_hash}")


def store(
    connection: Connection[TupleRow],
    *,
    batch_id: UUID,
    chunking_fp: str,
    versions: Sequence[ChunkedVersion],
    keeps_texts: bool = False,
) -> None:
    """Freeze texts, store chunk sets with their lexemes, move the items on to embedding.

    A set that is there already is left alone. With `keeps_texts` the pages were read again: a text that differs from
    the frozen one is kept beside it.
    """
    rows: list[dict[str, object]] = []
    words: list[ChunkLexemes] = []
    for chunked in versions:
        _store_text(connection, chunked)
        if keeps_texts:
            _keep_text(connection, chunked, chunking_fp)
        chunk_set_id = _store_chunk_set(connection, chunked, chunking_fp, batch_id)
        if chunk_set_id is not None:
            rows += [_chunk_row(chunk_set_id, chunked.version, chunk) for chunk in chunked.document.chunks]
            words += [_lexemes(chunk_set_id, chunked, chunk) for chunk in chunked.document.chunks]
    with connection.cursor() as cursor:
        cursor.executemany(query("store_chunk"), rows)
    lexemes.store(connection, words)
    item_ids = [chunked.version.item_id for chunked in versions if chunked.version.item_id]
    connection.execute(query("items_chunked"), {"batch_id": batch_id, "chunking_fp": chunking_fp, "item_ids": item_ids})


def of_batch(connection: Connection[TupleRow], *, batch_id: UUID, chunking_fp: str, relation: str) -> list[BatchChunk]:
    """Return every chunk of the batch's documents, document by document, in order."""
    with connection.cursor(row_factory=class_row(BatchChunk), binary=True) as cursor:
        return cursor.execute(
            query_on("batch_chunks", relation), {"batch_id": batch_id, "chunking_fp": chunking_fp}
        ).fetchall()


def texts(connection: Connection[TupleRow], *, corpus_id: UUID, hashes: Sequence[UUID]) -> dict[UUID, str]:
    """Return the texts of some chunks, by hash."""
    rows = connection.execute(query("chunk_texts"), {"corpus_id": corpus_id, "hashes": list(hashes)}).fetchall()
    return dict(rows)


def _store_text(connection: Connection[TupleRow], chunked: ChunkedVersion) -> None:
    document = chunked.document
    connection.execute(
        query("store_text"),
        {
            "document_version_id": chunked.version.document_version_id,
            "text": document.text,
            "title": document.title,
            "language": document.language,
            "extractor": document.extractor,
            "coverage": document.coverage,
            "published_at": document.published_at,
        },
    )


def _keep_text(connection: Connection[TupleRow], chunked: ChunkedVersion, chunking_fp: str) -> None:
    document = chunked.document
    connection.execute(
        query("keep_text"),
        {
            "document_version_id": chunked.version.document_version_id,
            "chunking_fp": chunking_fp,
            "text": document.text,
            "language": document.language,
            "extractor": document.extractor,
            "coverage": document.coverage,
        },
    )


def _store_chunk_set(
    connection: Connection[TupleRow], chunked: ChunkedVersion, chunking_fp: str, batch_id: UUID
) -> int | None:
    row = connection.execute(
        query("store_chunk_set"),
        {
            "document_version_id": chunked.version.document_version_id,
            "chunking_fp": chunking_fp,
            "chunk_count": len(chunked.document.chunks),
            "batch_id": batch_id,
            "token_count": sum(chunk.token_count for chunk in chunked.document.chunks),
        },
    ).fetchone()
    return None if row is None else row[0]


def _chunk_row(chunk_set_id: int, version: VersionToChunk, chunk: TextChunk) -> dict[str, object]:
    text_hash = chunk_hash(chunk.text)
    return {
        "chunk_set_id": chunk_set_id,
        "ordinal": chunk.ordinal,
        "corpus_id": version.corpus_id,
        "chunk_id": chunk_id(version, chunk, text_hash),
        "chunk_hash": text_hash,
        "start": chunk.start,
        "end": chunk.end,
        "token_count": chunk.token_count,
        "heading": chunk.heading,
        "text": chunk.text,
    }


def _lexemes(chunk_set_id: int, chunked: ChunkedVersion, chunk: TextChunk) -> ChunkLexemes:
    return lexemes.of_chunk(
        corpus_id=chunked.version.corpus_id,
        chunk_set_id=chunk_set_id,
        ordinal=chunk.ordinal,
        token_count=chunk.token_count,
        text=chunk.text,
        language=chunked.document.language,
    )
