"""The pgvector IO manager: each answer of the embedding server is one transaction.

COPY to a stage, upsert by hash, ledger; documents that became whole flip in the same commit, with their items and jobs.
What a killed run had stored is not embedded again.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from uuid import UUID

import dagster as dg
from psycopg import Connection
from psycopg.rows import TupleRow

from resources import fail_points
from resources.embedding.wire import MODEL_UNAVAILABLE, UNAUTHORIZED
from resources.errors import BreakerOpenError, EmbeddingRejectedError, EmbeddingUnavailableError
from resources.orchestration.batch_trace import EMBED
from resources.orchestration.build_errors import errors_noted
from resources.orchestration.lease import observe
from resources.orchestration.streams import EmbeddedTexts, VectorStream
from resources.postgres import corpus_lock, index_builds, promotions, usage, vectors
from resources.postgres.batches import IndexVersion
from resources.postgres.items import EndedItem, ItemEnd
from resources.postgres.recall import Recall
from resources.postgres.vectors import FlippedItem, NewVector
from resources.telemetry import attributes, metrics, tracing
from resources.types import ItemStatus, Stage

MIN_WAIT_SECONDS = 1.0
MISCONFIGURED_WAIT_SECONDS = 60.0
LEAST_OUTAGE_WAIT_SECONDS = 25.0
MOST_OUTAGE_WAIT_SECONDS = 120.0


class PgVectorIOManager(dg.ConfigurableIOManager):
    """Writes a `VectorStream` into the vector relation of its index version."""

    def handle_output(self, context: dg.OutputContext, obj: VectorStream) -> None:
        writer = _Writer(obj)
        started = time.monotonic()
        with (
            errors_noted(obj.lease, obj.index),
            obj.lease.trace.stage(EMBED),
            metrics.stage_duration_seconds.labels(Stage.EMBEDDING).time(),
        ):
            writer.write()
        fail_points.reach(fail_points.VECTORS_COMMITTED)
        context.add_output_metadata(
            {
                "texts_embedded": writer.counts["texts"],
                "embedding_tokens": writer.counts["tokens"],
                "cached_tokens": writer.counts["cached_tokens"],
                "documents_indexed": writer.counts["indexed"],
                "documents_failed": writer.counts["failed"],
                "documents_waiting": writer.counts["waiting"],
                "seconds": round(time.monotonic() - started, 3),
            }
            | ({"waits_for": obj.interruption.code} if obj.interruption else {})
            | (writer.recall.metadata if writer.recall else {})
        )
        if obj.interruption:
            context.log.warning("%d documents wait: %s", writer.counts["waiting"], obj.interruption.code)

    def load_input(self, context: dg.InputContext) -> None:
        """Return nothing: vectors are read by searches, in SQL."""


class _Writer:
    """Writes one stream."""

    def __init__(self, stream: VectorStream) -> None:
        self._stream = stream
        self._plan = stream.plan
        self.counts: Counter[str] = Counter()
        self.recall: Recall | None = None
        self._flipped: list[FlippedItem] = []
        self._began = datetime.now(UTC)

    def write(self) -> None:
        self._begin_progress()
        self._commit(None, self._plan.whole())
        with self._stream.graph or nullcontext():
            refusal = self._write_answers()
        if self._stream.graph is not None:
            self.recall = self._stream.graph.result()
        if self._stream.lease.is_backfill:
            self._fail_backfill(self._stream.interruption or refusal)
        self._wait_for_server()

    def _write_answers(self) -> EmbeddingRejectedError | None:
        """Write them as they come; return the last refusal of a text, if there was one."""
        refusal: EmbeddingRejectedError | None = None
        for answer in self._stream.answers:
            failed = self._plan.refused(answer.rejected)
            self._commit(answer, self._plan.stored(answer.hashes), failed)
            refusal = next(iter(answer.rejected.values()), refusal)
            if self._stream.graph is not None:
                self._stream.graph.stored(len(answer.hashes))
        return refusal

    @staticmethod
    def _fail_backfill(error: EmbeddingUnavailableError | EmbeddingRejectedError | None) -> None:
        """Fail the run of a backfill that is not whole: no item waits, so nothing else would say so."""
        if error is not None:
            raise error

    def _commit(
        self,
        answer: EmbeddedTexts | None,
        whole: Sequence[UUID],
        failed: dict[UUID, EmbeddingRejectedError] | None = None,
    ) -> None:
        if answer is None and not whole:
            return
        lease = self._stream.lease
        corpus_id, batch_id = lease.batch.corpus_id, lease.batch.batch_id
        with tracing.span(attributes.STORE_VECTORS_SPAN), lease.transaction() as connection:
            corpus_lock.share(connection, corpus_id=corpus_id)
            index = promotions.current(connection, self._stream.index, serves=lease.serves)
            rows = [] if answer is None else self._rows(answer)
            paid = vectors.store(connection, corpus_id=corpus_id, batch_id=batch_id, index=index, vectors=rows)
            ended = self._end(connection, index, whole, failed or {})
            self._advance(connection, answer)
            usage.count_texts(connection, corpus_id=corpus_id, model_id=index.model_id, paid=paid)
            fail_points.reach(fail_points.VECTORS_COPIED)
        self._count(answer, ended)

    def _begin_progress(self) -> None:
        progress, lease = self._stream.progress, self._stream.lease
        if progress is not None:
            with lease.transaction() as connection:
                index_builds.note(
                    connection,
                    corpus_id=lease.batch.corpus_id,
                    index=self._stream.index,
                    documents_missing=progress.documents_missing,
                    chunks_missing=progress.chunks_missing,
                )

    def _advance(self, connection: Connection[TupleRow], answer: EmbeddedTexts | None) -> None:
        if answer is not None and self._stream.progress is not None:
            documents, chunks = self._stream.progress.stored(answer.hashes)
            index_builds.advance(
                connection,
                index_version_id=self._stream.index.index_version_id,
                documents=documents,
                chunks=chunks,
            )

    def _end(
        self,
        connection: Connection[TupleRow],
        index: IndexVersion,
        whole: Sequence[UUID],
        failed: dict[UUID, EmbeddingRejectedError],
    ) -> list[EndedItem]:
        lease = self._stream.lease
        self._flipped = vectors.flip(connection, batch_id=lease.batch.batch_id, index=index, item_ids=whole)
        ends = [self._indexed(item) for item in self._flipped] + [_refused(*pair) for pair in failed.items()]
        return lease.end_items(connection, ends)

    def _rows(self, answer: EmbeddedTexts) -> list[NewVector]:
        return [
            NewVector(
                chunk_hash=chunk_hash,
                caller_id=self._plan.owed[chunk_hash].caller_id,
                token_count=self._plan.owed[chunk_hash].token_count,
                embedding=vector,
            )
            for chunk_hash, vector in zip(answer.hashes, answer.vectors, strict=True)
        ]

    def _indexed(self, item: FlippedItem) -> ItemEnd:
        usage = self._plan.usage[item.item_id]
        return ItemEnd(
            item_id=item.item_id,
            status=ItemStatus.INDEXED,
            chunks_added=item.added,
            chunks_kept=item.kept,
            chunks_removed=item.removed,
            embedding_tokens=usage.embedding_tokens,
            cached_tokens=usage.cached_tokens,
        )

    def _count(self, answer: EmbeddedTexts | None, ended: Sequence[EndedItem]) -> None:
        observe(ended)
        self._trace(ended)
        for flipped in self._flipped:
            metrics.chunks.labels("added").inc(flipped.added)
            metrics.chunks.labels("kept").inc(flipped.kept)
            metrics.chunks.labels("removed").inc(flipped.removed)
        for item in ended:
            self.counts["indexed" if item.status == ItemStatus.INDEXED else "failed"] += 1
            if item.item_id in self._plan.usage:
                self.counts["cached_tokens"] += self._plan.usage[item.item_id].cached_tokens
        if answer is not None:
            self.counts["texts"] += len(answer.hashes)
            self.counts["tokens"] += answer.tokens

    def _trace(self, ended: Sequence[EndedItem]) -> None:
        for item in ended:
            usage = self._plan.usage.get(item.item_id)
            self._stream.lease.trace.embedded(
                item.item_id,
                since=self._began,
                model=self._stream.index.model,
                tokens=usage.embedding_tokens if usage else None,
                error=item.code if item.failed_stage else None,
            )

    def _wait_for_server(self) -> None:
        """Give back what the embedding server did not answer for: it waits, and the try does not count."""
        error = self._stream.interruption
        waiting = self._plan.unfinished()
        self.counts["waiting"] = len(waiting)
        if error is not None and waiting:
            with self._stream.lease.transaction() as connection:
                ended = self._stream.lease.release(
                    connection,
                    waiting,
                    delay_seconds=_wait_seconds(error),
                    reason=error.code,
                )
            observe(ended)


def _wait_seconds(error: EmbeddingUnavailableError) -> float:
    """Return when to try again; a server that knows neither model nor key is not asked every few seconds.

    Each try of a waiting batch is a run: while the breaker is open, tries are spread, and the farther apart the longer
    the server is away: a quarter of that, two minutes at most; an hour costs a batch some 50 runs. Once it is back
    lifeline wakes what waits (server_watch.py).
    """
    if error.code in (MODEL_UNAVAILABLE, UNAUTHORIZED):
        return max(MISCONFIGURED_WAIT_SECONDS, error.retry_after_seconds)
    if isinstance(error, BreakerOpenError):
        longest = min(MOST_OUTAGE_WAIT_SECONDS, max(LEAST_OUTAGE_WAIT_SECONDS, error.outage_seconds / 4))
        return max(error.retry_after_seconds, random.uniform(longest / 2, longest))  # noqa: S311
    return max(MIN_WAIT_SECONDS, error.retry_after_seconds)


def _refused(item_id: UUID, error: EmbeddingRejectedError) -> ItemEnd:
    return ItemEnd(item_id=item_id, status=ItemStatus.FAILED, failed_stage=Stage.EMBEDDING, error=error.as_record())
