"""Stores texts and chunk sets as they come, and hands the batch's chunks on to a model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import dagster as dg

from resources import fail_points
from resources.errors import ChunkingError
from resources.orchestration.batch_trace import CHUNK
from resources.orchestration.build_errors import errors_noted
from resources.orchestration.lease import observe
from resources.orchestration.streams import ChunkOutcome, ChunksToEmbed, ChunkStream
from resources.orchestration.work import work_of
from resources.postgres import chunks, corpus_lock, crawls, index_builds, pages
from resources.postgres.items import ItemEnd
from resources.telemetry import attributes, metrics, tracing
from resources.types import ItemStatus, Stage

GROUP_DOCUMENTS = 16
GROUP_SECONDS = 0.5


class ChunkIOManager(dg.ConfigurableIOManager):
    """Postgres: the text layer once per version, a chunk set per (version, chunking)."""

    def handle_output(self, context: dg.OutputContext, obj: ChunkStream) -> None:
        counts: Counter[str] = Counter()
        started = time.monotonic()
        with (
            errors_noted(obj.lease, obj.index),
            obj.lease.trace.stage(CHUNK),
            metrics.stage_duration_seconds.labels(Stage.CHUNKING).time(),
        ):
            for number, group in enumerate(_groups(obj)):
                counts.update(_store(obj, group, is_first=not number))
            counts["waiting"] = _wait_for_extractor(obj)
            _fail_backfill(counts)
        documents = counts["documents"]
        context.add_output_metadata(
            {
                "documents_chunked": documents,
                "documents_failed": counts["failed"],
                "chunks": counts["chunks"],
                "tokens": counts["tokens"],
                "coverage": round(counts["coverage_permille"] / 1000 / documents, 3) if documents else 1.0,
                "documents_waiting": counts["waiting"],
                "seconds": round(time.monotonic() - started, 3),
            }
        )

    def load_input(self, context: dg.InputContext) -> ChunksToEmbed:
        """Return what the batch owes to the model that the consuming asset names in its input's metadata."""
        work = work_of(context.step_context.run_id)
        lease, index = work.of_model((context.definition_metadata or {})["model"])
        return ChunksToEmbed(lease, index)


def _fail_backfill(counts: Counter[str]) -> None:
    """Fail the run of a backfill that is not whole: no item waits, so nothing else would say so."""
    if counts["unreported"]:
        raise ChunkingError(
            "extraction_failed",
            f"{counts['unreported']} documents can't be cut so: cut them otherwise, or delete them",
            retryable=bool(counts["retryable"]),
        )


def _groups(stream: ChunkStream) -> Iterator[list[ChunkOutcome]]:
    """Yield outcomes in groups that are worth a transaction."""
    group: list[ChunkOutcome] = []
    opened = time.monotonic()
    for outcome in stream.outcomes:
        group.append(outcome)
        if len(group) >= GROUP_DOCUMENTS or time.monotonic() - opened >= GROUP_SECONDS:
            yield group
            group, opened = [], time.monotonic()
    if group:
        yield group


def _store(stream: ChunkStream, group: Sequence[ChunkOutcome], *, is_first: bool) -> Counter[str]:
    """Write one group in one fenced transaction and return what was counted."""
    batch_id = stream.lease.batch.batch_id
    done = [outcome.chunked for outcome in group if outcome.chunked is not None]
    failed = [outcome for outcome in group if outcome.error is not None and outcome.version.item_id is not None]
    unreported = [outcome.error for outcome in group if outcome.error is not None and outcome.version.item_id is None]
    with tracing.span(attributes.STORE_CHUNKS_SPAN), stream.lease.transaction() as connection:
        corpus_lock.share(connection, corpus_id=stream.lease.batch.corpus_id)
        if stream.fills and is_first:
            index_builds.note_cut(connection, corpus_id=stream.lease.batch.corpus_id, index=stream.index)
        chunks.store(
            connection,
            batch_id=batch_id,
            chunking_fp=stream.index.chunking_fp,
            versions=done,
            keeps_texts=stream.index.is_from_raw,
        )
        if stream.fills:
            version_id = stream.index.index_version_id
            index_builds.advance_cut(connection, index_version_id=version_id, documents=len(done))
        new_ids = [chunked.version.item_id for chunked in done if chunked.version.item_id is not None]
        if failed:  # their end counts usage, whose lock is the last one that a transaction may wait for
            failed_ids = [outcome.version.item_id for outcome in failed if outcome.version.item_id is not None]
            stream.lease.lock_jobs(connection, [*failed_ids, *new_ids])
        ended = stream.lease.end_items(connection, [_end(outcome) for outcome in failed])
        ended += crawls.end_repeated(connection, batch_id=batch_id, item_ids=new_ids)
        fail_points.reach(fail_points.CHUNKS_STORED)
    observe(ended)
    pieces = [chunk for chunked in done for chunk in chunked.document.chunks]
    metrics.chunks.labels("stored").inc(len(pieces))
    return Counter(
        documents=len(done),
        failed=len(failed),
        unreported=len(unreported),
        retryable=sum(error.retryable for error in unreported),
        chunks=len(pieces),
        tokens=sum(chunk.token_count for chunk in pieces),
        coverage_permille=round(1000 * sum(chunked.document.coverage for chunked in done)),
    )


def _wait_for_extractor(stream: ChunkStream) -> int:
    """Give back the pages that the extractor was away for, without counting the try; return how many."""
    error, lease = stream.interruption, stream.lease
    if error is None:
        return 0
    if lease.is_backfill:
        raise error  # no item waits for it: only a failed run says that the partition is not done
    with lease.transaction() as connection:
        versions = pages.versions_to_chunk(
            connection, batch_id=lease.batch.batch_id, chunking_fp=stream.index.chunking_fp
        )
        waiting = [version.item_id for version in versions if version.item_id is not None]
        ended = lease.release(connection, waiting, delay_seconds=error.retry_after_seconds, reason=error.code)
    observe(ended)
    return len(waiting)


def _end(outcome: ChunkOutcome) -> ItemEnd:
    assert outcome.error is not None
    assert outcome.version.item_id is not None
    return ItemEnd(
        item_id=outcome.version.item_id,
        status=ItemStatus.FAILED,
        failed_stage=Stage.CHUNKING,
        error=outcome.error.as_record(),
    )
