"""What is told of hits beside themselves: the chunks around them, and which words of a question say nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, scalar_row

from resources.lexemes import AskedWord
from resources.postgres.corpora import ServingIndex
from resources.postgres.pool import fetch_as, one_plan
from resources.postgres.queries import query
from resources.postgres.search import Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A chunk beside the hit that has the place `around` in the same version."""

    version_id: UUID
    around: int
    chunk_id: UUID
    ordinal: int
    text: str
    start_offset: int
    end_offset: int


async def neighbours(
    connection: AsyncConnection[TupleRow], *, caller_id: str, index: ServingIndex, hits: Sequence[Hit], reach: int
) -> dict[UUID, list[Neighbour]]:
    """Return the chunks up to `reach` before and after each hit, in order, by the hit's chunk id."""
    parameters = {
        "version_ids": [hit.version_id for hit in hits],
        "ordinals": [hit.ordinal for hit in hits],
        "chunking_fp": index.chunking_fp,
        "reach": reach,
    }
    rows = await fetch_as(
        connection,
        caller_id,
        query("neighbours"),
        parameters,
        rows=class_row(Neighbour),
        corpus_id=index.corpus_id,
        planning=one_plan(),
    )
    places = {(hit.version_id, hit.ordinal): hit.chunk_id for hit in hits}
    found: defaultdict[UUID, list[Neighbour]] = defaultdict(list)
    for row in rows:
        found[places[row.version_id, row.around]].append(row)
    return found


async def stopped_words(
    connection: AsyncConnection[TupleRow], *, caller_id: str, words: Sequence[AskedWord]
) -> set[str]:
    """Return the words that a dictionary of their language stops ("what", "der")."""
    parameters = {"words": [word.word for word in words], "dictionaries": [word.dictionary for word in words]}
    return set(await fetch_as(connection, caller_id, query("stopped_words"), parameters, rows=scalar_row))
