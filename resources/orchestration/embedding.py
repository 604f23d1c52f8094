"""The Dagster resource that embeds what a batch owes: requests filled across pages, a few at once, with a breaker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import dagster as dg

from resources.embedding.batching import pack
from resources.embedding.client import BatchEmbedded, EmbeddingClient
from resources.embedding.registry import Model
from resources.errors import EmbeddingUnavailableError
from resources.orchestration.build_errors import errors_noted
from resources.orchestration.early_graph import EarlyGraph
from resources.orchestration.fill_progress import FillProgress
from resources.orchestration.fitting import check_fit
from resources.orchestration.runtime import Runtime, runtime
from resources.orchestration.streams import ChunksToEmbed, EmbeddedTexts, VectorStream
from resources.orchestration.vector_plan import VectorPlan

REQUESTS_PER_RUN = 24
"""What is in flight when a run dies is paid twice: two requests of 24 are 8 % of its texts."""
LEAST_REQUEST_TOKENS = 1024
"""A small page is one request: each costs the network's and the commit's latency."""
MOST_FILL_TOKENS = 4096
"""Queries of searches wait behind what a fill has at the server: a GPU of 80,000 tokens a second needs 50 ms for it."""


def request_tokens(owed_tokens: int, *, most: int, fills: bool = False) -> int:
    """Return how many tokens one request of a run should carry; one that `fills` an index is nobody's who waits."""
    most = min(most, MOST_FILL_TOKENS) if fills else most
    return min(most, max(LEAST_REQUEST_TOKENS, owed_tokens // REQUESTS_PER_RUN))


class EmbeddingResource(dg.ConfigurableResource[Any]):
    """Embeds through the OpenAI-compatible server. An outage ends the stream, not the run: the rest waits."""

    def stream(self, chunks: ChunksToEmbed, model: Model) -> VectorStream:
        """Return the vectors that the batch owes, answer by answer."""
        rows = chunks.rows()
        plan = VectorPlan.of(rows)
        stream = VectorStream(lease=chunks.lease, index=chunks.index, plan=plan, answers=())
        if chunks.fills:
            with errors_noted(chunks.lease, chunks.index):
                check_fit(chunks, model, list(plan.owed))
            stream.progress = FillProgress(rows)
            if chunks.index.has_own_relation:
                texts = len({row.chunk_hash for row in rows})
                stream.graph = EarlyGraph(runtime(), chunks.lease, chunks.index, texts=texts, missing=len(plan.owed))
        stream.answers = _answers(runtime(), chunks, model, stream)
        return stream


def _answers(parts: Runtime, chunks: ChunksToEmbed, model: Model, stream: VectorStream) -> Iterator[EmbeddedTexts]:
    settings = parts.settings.embedding
    sizes = [(chunk_hash, vector.token_count) for chunk_hash, vector in stream.plan.owed.items()]
    packs: Iterable[list[UUID]] = pack(
        sizes,
        max_tokens=request_tokens(sum(tokens for _, tokens in sizes), most=settings.batch_tokens, fills=chunks.fills),
        max_texts=settings.batch_texts,
    )
    if chunks.fills:
        packs = reversed(list(packs))  # the longest last: they take the server longest while the graph is built
    source = (texts for hashes in packs if stream.interruption is None and (texts := chunks.texts(hashes)))
    client = parts.embedding(model)
    results = parts.loop.map(
        source,
        lambda texts: _embed(client, list(texts), list(texts.values())),
        width=settings.concurrency,
        wanted=lambda texts: stream.plan.is_wanted(texts, by=chunks.lease.wants),
    )
    for result in results:
        if isinstance(result, EmbeddingUnavailableError):
            stream.interruption = result  # what is under way still comes: it is paid for
        else:
            yield result


async def _embed(
    client: EmbeddingClient, hashes: Sequence[UUID], texts: Sequence[str]
) -> EmbeddedTexts | EmbeddingUnavailableError:
    try:
        batch = await client.embed_batch(texts)
    except EmbeddingUnavailableError as error:
        return error
    return _by_hash(hashes, batch)


def _by_hash(hashes: Sequence[UUID], batch: BatchEmbedded) -> EmbeddedTexts:
    kept = [position for position in range(len(hashes)) if position not in batch.rejected]
    return EmbeddedTexts(
        hashes=[hashes[position] for position in kept],
        vectors=batch.vectors[kept],
        rejected={hashes[position]: error for position, error in batch.rejected.items()},
        tokens=batch.tokens,
    )
