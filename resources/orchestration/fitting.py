"""Whether a model can take the chunks of an index version: each text, as it is sent, within its window."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from resources.embedding.registry import Model
from resources.embedding.tokenizer import count_tokens, load_tokenizer
from resources.errors import EmbeddingRejectedError
from resources.fingerprints import chunking_fingerprint
from resources.orchestration import progress
from resources.orchestration.streams import ChunksToEmbed
from resources.postgres.batches import IndexVersion

CODE = "chunks_too_long"
TEXTS_AT_ONCE = 512


def check_fit(chunks: ChunksToEmbed, model: Model, hashes: Sequence[UUID]) -> None:
    """Count the texts again where they were cut by another tokenizer, or get a prefix that they were not cut for.

    Raises EmbeddingRejectedError with the number of those that are too long, and what to do. Nothing was sent by then.
    """
    if not hashes or _fits_by_its_cut(chunks.index, model):
        return
    tokenizer = load_tokenizer(model.tokenizer_path)
    too_long = 0
    for start in range(0, len(hashes), TEXTS_AT_ONCE):
        texts = chunks.texts(hashes[start : start + TEXTS_AT_ONCE])
        sent = [model.as_sent(text, "write") for text in texts.values()]
        too_long += sum(count > model.max_tokens for count in count_tokens(tokenizer, sent))
        progress.mark()
    if too_long:
        raise EmbeddingRejectedError(
            CODE,
            f"{too_long} of {len(hashes)} chunks have more than the {model.max_tokens} tokens that {model.id} takes: "
            "cut the corpus anew for it, from 'text' with smaller chunks",
        )


def _fits_by_its_cut(index: IndexVersion, model: Model) -> bool:
    cut_by_it = index.chunking_fp.partition("-")[0] == chunking_fingerprint(index.as_chunking, model.tokenizer_sha256)
    prefix = model.as_sent("", "write")
    return cut_by_it and not prefix and index.as_chunking.max_tokens <= model.max_tokens
