"""What a search tells of its hits on request: chunks around them, words of the question, why they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from cixml_api.highlights import Span, highlights
from cixml_api.schemas import Question
from cixml_api.searching import Outcome
from resources.lexemes import asked
from resources.postgres.hits import Neighbour, neighbours, stopped_words
from resources.postgres.pool import Pool, connected


@dataclass(frozen=True, slots=True, kw_only=True)
class HitDetails:
    """None: it was not asked for."""

    highlights: list[Span] | None
    neighbours: Sequence[Neighbour] | None
    is_explained: bool


async def details(pool: Pool, *, caller_id: str, outcome: Outcome, question: Question) -> dict[UUID, HitDetails]:
    """Return what is told of each hit, by chunk id; nothing where no more is asked for than the hits."""
    hits = [scored.hit for scored in outcome.hits]
    has_highlights = "highlights" in question.include
    if not (has_highlights or question.neighbours or question.explain):
        return {}
    words, stopped = asked(question.query) if has_highlights else [], set[str]()
    around: dict[UUID, list[Neighbour]] = {}
    if hits and (has_highlights or question.neighbours):
        async with connected(pool) as connection:
            if has_highlights:
                stopped = await stopped_words(connection, caller_id=caller_id, words=words)
            if question.neighbours:
                around = await neighbours(
                    connection, caller_id=caller_id, index=outcome.index, hits=hits, reach=question.neighbours
                )
    return {
        hit.chunk_id: HitDetails(
            highlights=highlights(hit.text, hit.language, words, stopped) if has_highlights else None,
            neighbours=around.get(hit.chunk_id, []) if question.neighbours else None,
            is_explained=question.explain,
        )
        for hit in hits
    }
