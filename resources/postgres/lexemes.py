"""The tables of keyword search as they are written: `chunk_lexemes`, `corpus_languages` and `lexeme_counts`.

Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.lexemes import as_tsvector, counts, stemmed_language
from resources.postgres.queries import query

COUNT_FROM_CHUNKS = 3000
"""A smaller corpus is counted by each search: it reads every chunk that has a word of the question, in a few ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLexemes:
    """A row of `chunk_lexemes`, and the language whose stemmer made it."""

    corpus_id: UUID
    chunk_set_id: int
    ordinal: int
    length: int
    lexemes: str
    language: str


def of_chunk(
    *, corpus_id: UUID, chunk_set_id: int, ordinal: int, token_count: int, text: str, language: str | None
) -> ChunkLexemes:
    """Return the row of a chunk. `language` is its document's, None where nobody knows it."""
    stemmer = stemmed_language(language)
    return ChunkLexemes(
        corpus_id=corpus_id,
        chunk_set_id=chunk_set_id,
        ordinal=ordinal,
        length=token_count,
        lexemes=as_tsvector(counts(text, stemmer), corpus_mark(corpus_id)),
        language=stemmer,
    )


def corpus_mark(corpus_id: UUID) -> str:
    """Return the lexeme that each chunk of a corpus has: 48 of the random bits of its id. No word has a colon."""
    return f"c:{corpus_id.hex[-12:]}"


def store(connection: Connection[TupleRow], rows: Iterable[ChunkLexemes]) -> None:
    """Write the rows of chunk sets that have none."""
    for corpus_id, group in groupby(rows, attrgetter("corpus_id")):
        of_corpus = list(group)
        connection.execute(
            query("store_lexemes"),
            {
                "corpus_id": corpus_id,
                "languages": sorted({row.language for row in of_corpus}),
                "chunk_set_ids": [row.chunk_set_id for row in of_corpus],
                "ordinals": [row.ordinal for row in of_corpus],
                "lengths": [row.length for row in of_corpus],
                "lexemes": [row.lexemes for row in of_corpus],
            },
        )


def fill_in(connection: Connection[TupleRow], *, limit: int) -> int:
    """Write the lexemes of the next chunk sets that were stored without, and return how many sets: 0 at the end."""
    sets = connection.execute(query("chunk_sets_without_lexemes"), {"limit": limit}).fetchall()
    found = {chunk_set_id: (corpus_id, language) for chunk_set_id, corpus_id, language in sets}
    chunks = connection.execute(query("chunks_of_sets"), {"chunk_set_ids": list(found)}).fetchall()
    rows = [
        of_chunk(
            corpus_id=found[chunk_set_id][0],
            chunk_set_id=chunk_set_id,
            ordinal=ordinal,
            token_count=token_count,
            text=text,
            language=found[chunk_set_id][1],
        )
        for chunk_set_id, ordinal, token_count, text in chunks
    ]
    store(connection, sorted(rows, key=attrgetter("corpus_id")))
    _mark_stored(connection, list(found))
    return len(found)


def count_next(connection: Connection[TupleRow]) -> bool:
    """Count the lexemes of the next large corpus whose counts are old; False when there is none."""
    due = connection.execute(query("due_lexeme_count"), {"from_chunks": COUNT_FROM_CHUNKS}).fetchone()
    if due is None:
        return False
    connection.execute(query("count_lexemes"), {"corpus_id": due[0], "chunking_fp": due[1]})
    return True


def _mark_stored(connection: Connection[TupleRow], chunk_set_ids: Sequence[int]) -> None:
    connection.execute(query("mark_lexemes_stored"), {"chunk_set_ids": chunk_set_ids})
