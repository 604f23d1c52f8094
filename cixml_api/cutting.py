"""How a request says that texts are cut: what is left out, and what a model can't take."""

from __future__ import annotations

from cixml_api import schemas
from cixml_api.errors import RANGE, FieldProblem, InvalidFieldsError
from resources.types import Chunking


def cut(given: schemas.ChunkingRequest, *, default: Chunking, window_tokens: int) -> Chunking:
    """Return the cut, with the default's sizes where none are given. Raises InvalidFieldsError."""
    most = default.max_tokens if given.max_tokens is None else given.max_tokens
    overlap = min(default.overlap_tokens, most // 4) if given.overlap_tokens is None else given.overlap_tokens
    found = Chunking(max_tokens=most, overlap_tokens=overlap, strategy=given.strategy)
    check_cut(found, window_tokens=window_tokens)
    return found


def check_cut(chunking: Chunking, *, window_tokens: int) -> None:
    """Raise InvalidFieldsError for chunks that the model can't take."""
    most = chunking.max_tokens
    if most > window_tokens:
        detail = f"the model takes {window_tokens} tokens at once, chunks would have up to {most}: use fewer"
        raise InvalidFieldsError([FieldProblem(pointer="/chunking/max_tokens", number=RANGE, detail=detail)])
    if chunking.overlap_tokens > most // 2:
        detail = f"an overlap may be half of the {most} tokens of a chunk: use fewer"
        raise InvalidFieldsError([FieldProblem(pointer="/chunking/overlap_tokens", number=RANGE, detail=detail)])
