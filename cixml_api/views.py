"""Rows become answers here: one function per shape, nothing else."""

from __future__ import annotations

import hashlib
import math
from typing import Any
from uuid import UUID

from fastapi.responses import Response
from pydantic import BaseModel

from cixml_api import schemas
from cixml_api.anchors import text_fragment
from cixml_api.hit_details import HitDetails
from cixml_api.searching import ScoredHit
from resources.identifiers import Prefix, public_id
from resources.postgres.corpora import CorpusSummary
from resources.postgres.documents import DocumentChunk, DocumentWithVersions, ListedDocument
from resources.postgres.failed_items import PlacedItem
from resources.postgres.hits import Neighbour
from resources.postgres.index_versions import VersionSummary
from resources.postgres.job_progress import JobOutlook
from resources.postgres.jobs import JobItem, JobSummary
from resources.postgres.receipts import Receipt
from resources.telemetry import tracing
from resources.types import ItemStatus, JobStatus, Stage

RETRY_SECONDS = "2"


def answer(body: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer; built here because FastAPI would validate the body a second time."""
    content = body.__pydantic_serializer__.to_json(body, by_alias=True)
    return Response(content, status_code=status, headers=headers, media_type="application/json")


def job_path(job_id: UUID) -> str:
    return f"/v1/jobs/{public_id(Prefix.JOB, job_id)}"


def started(job_id: UUID) -> dict[str, str]:
    """Return the headers of an answer that says where a job under way is read, and when it is worth it."""
    return {"Location": job_path(job_id), "Retry-After": RETRY_SECONDS}


def job(row: JobSummary, outlook: JobOutlook | None = None) -> schemas.Job:
    """Return the answer; without an outlook it says nothing of the queue."""
    finished = row.indexed + row.unchanged + row.skipped + row.failed + row.cancelled
    return schemas.Job(
        id=public_id(Prefix.JOB, row.id),
        status=JobStatus(row.status),
        version=row.version,
        corpus=row.corpus,
        caller_id=row.caller_id,
        parent_job_id=public_id(Prefix.JOB, row.parent_job_id) if row.parent_job_id else None,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        failed_stage=Stage(row.failed_stage) if row.failed_stage else None,
        error=_error(row.error, failed_stage=row.failed_stage),
        cancel_requested=row.status in (JobStatus.CANCELLING, JobStatus.CANCELLED),
        items=schemas.ItemCounts(
            total=row.total,
            queued=row.queued,
            scraping=row.scraping,
            chunking=row.chunking,
            embedding=row.embedding,
            indexed=row.indexed,
            unchanged=row.unchanged,
            skipped=row.skipped,
            failed=row.failed,
            cancelled=row.cancelled,
        ),
        progress=round(finished / row.total, 4) if row.total else 1.0,
        eta_seconds=math.ceil(outlook.eta_seconds) if outlook and outlook.eta_seconds is not None else None,
        queue=_queue(outlook),
        waiting=[schemas.Waiting.model_validate(each) for each in outlook.waiting] if outlook else [],
        runs=[schemas.Run.model_validate(each) for each in outlook.runs] if outlook else [],
        usage=schemas.Usage(
            pages=row.pages,
            bytes=row.bytes,
            chunks=row.chunks,
            embedding_tokens=row.embedding_tokens,
            cached_tokens=row.cached_tokens,
        ),
        trace_id=tracing.trace_id(row.traceparent),
        crawl=_crawl(row),
        links=_links(row.id),
    )


def _crawl(row: JobSummary) -> schemas.Crawl | None:
    if row.crawl is None:
        return None
    rules = {name: value for name, value in row.crawl.items() if name in schemas.CrawlRequest.model_fields}
    return schemas.Crawl(**rules, pages_found=row.pages_found, pages_left_out=row.pages_left_out)


def _queue(outlook: JobOutlook | None) -> schemas.QueuePlace | None:
    if outlook is None or outlook.your_share is None:
        return None
    return schemas.QueuePlace(ahead_of_you=outlook.ahead_of_you, your_share=round(outlook.your_share, 4))


def _links(job_id: UUID) -> schemas.JobLinks:
    own = job_path(job_id)
    return schemas.JobLinks(
        self=own, items=f"{own}/items", events=f"{own}/events", cancel=f"{own}/cancel", retry=f"{own}/retry"
    )


def item(row: JobItem) -> schemas.Item:
    return schemas.Item(**_item(row))


def placed_item(row: PlacedItem) -> schemas.PlacedItem:
    return schemas.PlacedItem(**_item(row), job_id=public_id(Prefix.JOB, row.job_id), corpus=row.corpus)


def _item(row: JobItem) -> dict[str, Any]:
    return {
        "id": public_id(Prefix.ITEM, row.id),
        "url": row.url,
        "final_url": row.final_url,
        "external_id": row.external_id,
        "metadata": row.metadata,
        "status": ItemStatus(row.status),
        "failed_stage": Stage(row.failed_stage) if row.failed_stage else None,
        "attempts": row.attempts,
        "next_attempt_at": row.next_attempt_at,
        "waiting_reason": row.waiting_reason,
        "http": schemas.HttpRecord(status=row.http_status, etag=row.etag, bytes=row.bytes, fetched_at=row.fetched_at),
        "robots": row.robots,
        "change": row.change,
        "chunks": schemas.ChunkCounts(
            total=row.chunks_total, added=row.chunks_added, kept=row.chunks_kept, removed=row.chunks_removed
        ),
        "document_id": public_id(Prefix.DOCUMENT, row.document_id) if row.document_id else None,
        "error": _error(row.error, failed_stage=row.failed_stage, http_status=row.http_status, attempts=row.attempts),
        "duplicate_of": public_id(Prefix.ITEM, row.duplicate_of) if row.duplicate_of else None,
        "retried_as": public_id(Prefix.ITEM, row.retried_as) if row.retried_as else None,
        "kind": row.kind,
        "depth": row.depth,
        "parent_item_id": public_id(Prefix.ITEM, row.parent_item_id) if row.parent_item_id else None,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def _error(record: dict[str, Any] | None, **known: Any) -> schemas.ErrorRecord | None:
    """Return a stored error record in its public shape; what the row knows itself fills what the record lacks."""
    if record is None:
        return None
    merged = known | {name: value for name, value in record.items() if value is not None}
    return schemas.ErrorRecord(
        code=str(merged.get("code", "internal")),
        failed_stage=Stage(merged["failed_stage"]) if merged.get("failed_stage") else None,
        retryable=bool(merged.get("retryable", False)),
        http_status=merged.get("http_status"),
        attempts=merged.get("attempts"),
        detail=merged.get("detail"),
    )


def corpus(row: CorpusSummary, *, address: str) -> schemas.Corpus:
    versions = [
        schemas.IndexVersion.model_validate(each | {"id": public_id(Prefix.VERSION, UUID(each["id"]))})
        for each in row.index_versions
    ]
    return schemas.Corpus.model_validate(
        {
            "name": row.name,
            "owner": row.owner,
            "address": address,
            "role": row.role,
            "title": row.title,
            "require_if_match": row.require_if_match,
            "exclusions": row.exclusions,
            "partition": row.partition_key,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "counts": schemas.CorpusCounts(documents=row.documents, chunks=row.chunks, bytes=row.bytes),
            "active_index": next((each for each in versions if each.state == "serving"), None),
            "index_versions": versions,
            "freshness": schemas.Freshness(oldest=row.oldest_check_at, newest=row.newest_check_at),
            "grants": row.grants,
        }
    )


def index_version(row: VersionSummary) -> schemas.IndexVersionDetail:
    return schemas.IndexVersionDetail.model_validate(
        {
            "id": public_id(Prefix.VERSION, row.id),
            "model": row.model,
            "kind": row.kind,
            "state": row.state,
            "chunking": row.chunking,
            "from": row.fill_from,
            "activate": row.activate,
            "activation_requested_at": row.activate_at,
            "drop_after": row.drop_after,
            "progress": _fill_progress(row),
            "comparison": row.comparison,
            "error": row.error,
            "created_at": row.created_at,
            "state_changed_at": row.state_changed_at,
            "trace_id": tracing.trace_id(row.traceparent),
        }
    )


def _fill_progress(row: VersionSummary) -> schemas.FillProgress | None:
    """Return how far a fill is; None for what is not filled, or not begun."""
    if row.filling_since is None or row.filling_seconds is None:
        return None
    left, done = row.chunks_total - row.chunks_done, row.chunks_done - row.chunks_reused
    is_cut = row.documents_cut >= row.documents_total
    return schemas.FillProgress(
        cut=schemas.Done(done=row.documents_cut, total=row.documents_total),
        documents=schemas.Done(done=row.documents_done, total=row.documents_total),
        chunks=schemas.Done(done=row.chunks_done, total=row.chunks_total),
        share=round(row.chunks_done / row.chunks_total, 4) if row.chunks_total else 0.0,
        eta_seconds=_eta(row.filling_seconds, left=left, done=done) if is_cut else None,
    )


def _eta(seconds: float, *, left: int, done: int) -> int | None:
    """Return the seconds that the rest takes at the pace so far; None before there is one."""
    if not left:
        return 0
    return math.ceil(seconds * left / done) if done > 0 else None


def receipt(row: Receipt) -> schemas.Receipt:
    return schemas.Receipt.model_validate(
        {
            "id": public_id(Prefix.RECEIPT, row.id),
            "kind": row.kind,
            "corpus": row.corpus,
            "status": row.status,
            "waits_for": row.waits_for,
            "requested_at": row.requested_at,
            "finished_at": row.finished_at,
            "trace_id": tracing.trace_id(row.traceparent),
            "removed": row.removed,
        }
    )


def deleting(row: Receipt) -> Response:
    """Return the answer to a deletion: it goes on, and the receipt says how far it is."""
    path = f"/v1/receipts/{public_id(Prefix.RECEIPT, row.id)}"
    return answer(receipt(row), status=202, headers={"Location": path, "Retry-After": RETRY_SECONDS})


def document(row: ListedDocument) -> schemas.Document:
    return schemas.Document(**_document(row))


def document_detail(row: DocumentWithVersions) -> schemas.DocumentDetail:
    versions = [each | {"id": public_id(Prefix.VERSION, UUID(each["id"]))} for each in row.versions]
    return schemas.DocumentDetail.model_validate({**_document(row), "versions": versions})


def _document(row: ListedDocument) -> dict[str, Any]:
    return {
        "id": public_id(Prefix.DOCUMENT, row.id),
        "url": row.url,
        "external_id": row.external_id,
        "metadata": row.metadata,
        "status": "live" if row.live_version_id else "pending",
        "title": row.title,
        "language": row.language,
        "content_type": row.content_type,
        "bytes": row.bytes,
        "chunk_count": row.chunk_count,
        "snapshot": public_id(Prefix.VERSION, row.live_version_id) if row.live_version_id else None,
        "published_at": row.published_at,
        "fetched_at": row.fetched_at,
        "changed_at": row.changed_at,
        "checked_at": row.checked_at,
    }


def source(row: ListedDocument) -> schemas.Source:
    return schemas.Source(
        url=row.url,
        external_id=row.external_id,
        document_id=public_id(Prefix.DOCUMENT, row.id),
        title=row.title,
        fetched_at=row.fetched_at,
        checked_at=row.checked_at,
    )


def chunk(row: DocumentChunk) -> schemas.Chunk:
    return schemas.Chunk(
        id=public_id(Prefix.CHUNK, row.id),
        ordinal=row.ordinal,
        text=row.text,
        start=row.start,
        end=row.end,
        token_count=row.token_count,
        heading=row.heading,
    )


def search_result(rank: int, scored: ScoredHit, *, corpus: str, more: HitDetails | None = None) -> schemas.SearchResult:
    hit = scored.hit
    return schemas.SearchResult(
        rank=rank,
        score=round(scored.score, 6),
        scores=schemas.Scores(
            vector=_rounded(scored.vector), keyword=_rounded(scored.keyword), fused=_rounded(scored.fused)
        ),
        chunk_id=public_id(Prefix.CHUNK, hit.chunk_id),
        document_id=public_id(Prefix.DOCUMENT, hit.document_id),
        corpus=corpus,
        url=hit.url,
        anchor=text_fragment(hit.url, hit.text) if hit.url else None,
        external_id=hit.external_id,
        title=hit.title,
        text=hit.text,
        ordinal=hit.ordinal,
        offsets=schemas.Offsets(start=hit.start, end=hit.end),
        text_sha256=hashlib.sha256(hit.text.encode()).hexdigest(),
        snapshot=public_id(Prefix.VERSION, hit.version_id),
        fetched_at=hit.fetched_at,
        published_at=hit.published_at,
        metadata=hit.metadata,
        highlights=[list(span) for span in more.highlights] if more and more.highlights is not None else None,
        neighbours=[_neighbour(each) for each in more.neighbours] if more and more.neighbours is not None else None,
        explain=_explanation(scored) if more and more.is_explained else None,
    )


def _neighbour(row: Neighbour) -> schemas.NeighbourChunk:
    return schemas.NeighbourChunk(
        chunk_id=public_id(Prefix.CHUNK, row.chunk_id),
        ordinal=row.ordinal,
        text=row.text,
        offsets=schemas.Offsets(start=row.start_offset, end=row.end_offset),
    )


def _explanation(scored: ScoredHit) -> schemas.Explanation:
    return schemas.Explanation(
        vector_rank=scored.vector_rank,
        keyword_rank=scored.keyword_rank,
        distance=None if scored.vector is None else round(1 - scored.vector, 6),
    )


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
