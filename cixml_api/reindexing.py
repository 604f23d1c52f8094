"""What another index of a corpus is made of, and whether its model can take it. Knows nothing of HTTP."""

from __future__ import annotations

from uuid import UUID

from cixml_api import schemas
from cixml_api.cutting import check_cut, cut
from cixml_api.dependencies import Services
from cixml_api.errors import VALUE, FieldProblem, InvalidFieldsError
from resources.embedding.registry import Model
from resources.errors import ConflictError, NotFoundError
from resources.fingerprints import chunking_fingerprint
from resources.postgres.index_versions import NewVersion, ReindexFacts, count_long_chunks, read_facts
from resources.postgres.pool import connected
from resources.postgres.promotions import REFERENCE_DIMENSION
from resources.types import CallerContext, Chunking

MOST_OPEN = 5
"""Versions of a corpus that are building or ready: each keeps a copy of its vectors."""


async def new_version(
    services: Services,
    caller: CallerContext,
    *,
    corpus_id: UUID,
    index_version_id: UUID,
    body: schemas.IndexVersionRequest,
) -> NewVersion:
    """Return what is asked for. Raises InvalidFieldsError; ConflictError with the count of chunks that are too long."""
    async with connected(services.pool) as connection:
        facts = await read_facts(connection, caller_id=caller.caller_id, corpus_id=corpus_id)
    if facts is None:
        raise NotFoundError
    if facts.open_versions >= MOST_OPEN:
        raise ConflictError(f"{MOST_OPEN} index versions of the corpus are building or ready: give one up first")
    model = _model(services, body.model or facts.model)
    if body.fill_from == "chunks":
        if body.chunking is not None:
            detail = "the chunks that there are stay as they are cut: ask for 'from': 'text' to cut anew"
            raise InvalidFieldsError([FieldProblem(pointer="/chunking", number=VALUE, detail=detail)])
        await _check_chunks(services, caller, corpus_id, facts, model)
        chunking, chunking_fp = Chunking(**facts.chunking), facts.chunking_fp
    else:
        chunking = _cut(model, body.chunking, now=Chunking(**facts.chunking))
        # its own chunk sets, though the cut may be the one of before: what is asked for is that it is done again
        chunking_fp = f"{chunking_fingerprint(chunking, model.tokenizer_sha256)}-{index_version_id.hex}"
    return NewVersion(
        model_fingerprint=model.fingerprint,
        chunking=chunking,
        chunking_fp=chunking_fp,
        fill_from=body.fill_from,
        activate=body.activate,
        exact_numbers=services.settings.search.promote_rows * REFERENCE_DIMENSION,
    )


def _cut(model: Model, given: schemas.ChunkingRequest | None, *, now: Chunking) -> Chunking:
    """Return the cut that is asked for, or the one of now; of sizes that are left out the model's are taken."""
    if given is None:
        check_cut(now, window_tokens=model.max_tokens)
        return now
    sizes = Chunking(max_tokens=model.chunk_max_tokens, overlap_tokens=model.chunk_overlap_tokens)
    return cut(given, default=sizes, window_tokens=model.max_tokens)


def _model(services: Services, name: str) -> Model:
    found = services.models.get(name)
    if found is None:
        known = ", ".join(sorted(services.models))
        detail = f"no model {name!r} is enabled here: take one of {known}, or have it enabled"
        raise InvalidFieldsError([FieldProblem(pointer="/model", number=VALUE, detail=detail)])
    return found


async def _check_chunks(
    services: Services, caller: CallerContext, corpus_id: UUID, facts: ReindexFacts, model: Model
) -> None:
    """Refuse what is too long by the counts of its cut; another tokenizer counts anew, before anything is sent."""
    if facts.chunking["max_tokens"] <= model.max_tokens:
        return
    async with connected(services.pool) as connection:
        found = await count_long_chunks(
            connection,
            caller_id=caller.caller_id,
            corpus_id=corpus_id,
            chunking_fp=facts.chunking_fp,
            window_tokens=model.max_tokens,
        )
    if found.long:
        raise ConflictError(
            f"{found.long} of {found.all} chunks have more than the {model.max_tokens} tokens that {model.id} takes: "
            f"ask for 'from': 'text' with a 'chunking' of up to {model.max_tokens} tokens"
        )
