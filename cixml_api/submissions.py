"""Submissions: whatever a route takes becomes the items of one job, in one transaction with its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Request, Response
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from pydantic import BaseModel

from cixml_api import idempotency, schemas, views
from cixml_api.addresses import corpus_key
from cixml_api.dependencies import Services
from cixml_api.errors import VALUE, FieldProblem
from resources import fail_points
from resources.errors import ConfigurationError, ForbiddenError, NotFoundError
from resources.identifiers import Prefix, public_id
from resources.postgres.callers import ensure_caller
from resources.postgres.corpora import CorpusKey, ensure_corpus, get_access
from resources.postgres.jobs import JobSummary
from resources.postgres.pool import caller_transaction
from resources.postgres.quotas import admit
from resources.postgres.submissions import InsertedJob, NewItem, PushedContent, pushed_item, submit_job
from resources.telemetry import attributes, tracing
from resources.types import CallerContext, JobStatus


async def submit(
    request: Request,
    caller: CallerContext,
    services: Services,
    *,
    corpus: str,
    items: Sequence[NewItem],
    makes_corpus: bool = False,
    idempotency_key: str | None = None,
    body: BaseModel,
    crawl: dict[str, Any] | None = None,
) -> Response:
    """Insert the job and answer 202 with it. `body` is what the Idempotency-Key stands for; `crawl` are rules.

    Raises NotFoundError for a corpus that is not there, and that `makes_corpus` does not make.
    """
    key = corpus_key(caller, corpus)
    keyed = idempotency.keyed(request, caller, idempotency_key, body)
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        if kept := await idempotency.replay(connection, keyed):
            return kept
        inserted = await _insert(
            connection, services, caller, key, items, makes_corpus, request.state.traceparent, crawl
        )
        summary = _new_summary(inserted, caller, corpus, items, crawl, request.state.traceparent)
        answer = views.answer(views.job(summary), status=202, headers=views.started(inserted.id))
        await idempotency.keep(connection, keyed, answer)
        fail_points.reach(fail_points.JOB_INSERTED)
    _note(inserted, key)
    fail_points.reach(fail_points.JOB_COMMITTED)
    return answer


def _note(inserted: InsertedJob, corpus: CorpusKey) -> None:
    """Say on the request's span what it made: the rest of the job's trace is below it."""
    tracing.note(attributes.JOB_ID, public_id(Prefix.JOB, inserted.id))
    tracing.note(attributes.CORPUS_NAME, corpus.name)
    tracing.note(attributes.OPERATION, attributes.WRITE)
    tracing.note(attributes.REQUEST_MODE, attributes.ASYNC)


def item_of(document: schemas.PushedDocument) -> NewItem:
    """Return the item of a document that came with the request."""
    text, kind = (document.text, "plain") if document.text is not None else (document.markdown, "markdown")
    assert text is not None  # the schema asks for one of them
    content = PushedContent(body=text.encode(), content_type=f"text/{kind}", charset="utf-8", title=document.title)
    return pushed_item(document.external_id, document.metadata, content)


def twice(documents: Sequence[schemas.PushedDocument]) -> Iterator[FieldProblem]:
    """Yield what is wrong with external ids that come more than once: which text should win?"""
    counts = Counter(document.external_id for document in documents)
    for position, document in enumerate(documents):
        if counts[document.external_id] > 1:
            detail = f"the external id {document.external_id!r} stands in this request more than once: send one of them"
            yield FieldProblem(pointer=f"/documents/{position}/external_id", number=VALUE, detail=detail)


async def _insert(
    connection: AsyncConnection[TupleRow],
    services: Services,
    caller: CallerContext,
    corpus: CorpusKey,
    items: Sequence[NewItem],
    makes_corpus: bool,
    traceparent: str,
    crawl: dict[str, Any] | None,
) -> InsertedJob:
    makes_corpus = makes_corpus and corpus.owner == caller.caller_id
    pages = len({item.url_key for item in items})
    await admit(connection, limits=services.settings.limits, pages=pages, corpus=corpus.name if makes_corpus else None)
    made = None
    await ensure_caller(connection, caller)
    if makes_corpus:
        made = await ensure_corpus(connection, caller_id=caller.caller_id, name=corpus.name, index=services.new_index)
    job = await submit_job(
        connection, caller_id=caller.caller_id, corpus=corpus, items=items, traceparent=traceparent, crawl=crawl
    )
    if made and made[0].rowcount != made[1].rowcount:
        model = services.settings.embedding_model
        raise ConfigurationError(f"the model {model} is not in the database: run 'cixml migrate'")
    if job is None:
        if await get_access(connection, caller_id=caller.caller_id, key=corpus) is not None:
            raise ForbiddenError("The grant is to read this corpus: its owner may grant to write.")
        raise NotFoundError("There is no such corpus for this caller: 'POST /v1/corpora' makes one.")
    return job


def _new_summary(
    inserted: InsertedJob,
    caller: CallerContext,
    corpus: str,
    items: Sequence[NewItem],
    crawl: dict[str, Any] | None,
    traceparent: str,
) -> JobSummary:
    queued = len({item.url_key for item in items})
    return JobSummary(
        id=inserted.id,
        caller_id=caller.caller_id,
        corpus=corpus,
        status=JobStatus.QUEUED,
        version=1,
        failed_stage=None,
        error=None,
        created_at=inserted.created_at,
        started_at=None,
        finished_at=None,
        total=len(items),
        queued=queued,
        scraping=0,
        chunking=0,
        embedding=0,
        indexed=0,
        unchanged=0,
        skipped=len(items) - queued,
        failed=0,
        cancelled=0,
        traceparent=traceparent,
        crawl=crawl,
        pages_found=len({item.url_key for item in items if item.url and item.kind == "page"}) if crawl else 0,
        bytes=sum(len(item.pushed.body) for item in items if item.pushed),
    )
