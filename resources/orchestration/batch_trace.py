"""The spans of a batch: in the trace of each job that it works for, and of its run.

Each job of a batch has a `run` span in its own trace, below the request that made it; spans of its pages are below
that. A batch of one job needs no other. One of several has a trace of its own for what it does once for all of them
(requests to the embedding server, writes); its root and the jobs' spans are linked. So whatever is batched with it, the
trace of a job shows what happened to its pages, and each further attempt is one more `run` in it.

Ids of these spans follow from the rows: when a run's process is killed, lifeline ends its spans (`end_lost`), and what
is below them has its parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from opentelemetry.context import Context, get_current
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, use_span
from opentelemetry.util.types import AttributeValue

from resources.identifiers import Prefix, public_id
from resources.orchestration import tags
from resources.postgres.traced import TracedItem
from resources.telemetry import attributes, tracing
from resources.telemetry.logs import Redactor, job_context
from resources.types import Stage

SCRAPE, CHUNK, EMBED = "scrape", "chunk", "embed"
"""Values of `job.stage`."""
FAILED_STAGES = {SCRAPE: Stage.SCRAPING, CHUNK: Stage.CHUNKING, EMBED: Stage.EMBEDDING}
_redactor = Redactor()


class BatchTrace:
    """The open spans of one batch in the hands of one run. `queue` is where the run waited for its worker.

    `caused_by` is the request that asked for an index version: the run of a batch that fills it is in its trace.
    """

    def __init__(
        self,
        batch_id: UUID,
        items: Sequence[TracedItem],
        *,
        corpus: str,
        queue: str,
        began: datetime | None = None,
        caused_by: str | None = None,
    ) -> None:
        self._items = {item.item_id: item for item in items}
        self._common: dict[str, AttributeValue] = {
            attributes.CORPUS_NAME: corpus,
            attributes.OPERATION: attributes.WRITE,
            attributes.REQUEST_MODE: attributes.ASYNC,
        }
        self._queue = queue
        self._began = began or min((item.claimed_at for item in items), default=datetime.now(UTC))
        jobs = {item.job_id: item for item in items}
        self._of_jobs = {job_id: self._start_of_job(batch_id, item, len(jobs) > 1) for job_id, item in jobs.items()}
        self._of_all = next(iter(self._of_jobs.values())) if len(jobs) == 1 else self._start_of_all(batch_id, caused_by)
        self._job_id = public_id(Prefix.JOB, next(iter(jobs))) if len(jobs) == 1 else None

    def tell_launch(self) -> None:
        """Tell how long the batch waited for its run to begin: only that run says so."""
        started = [item.started_at for item in self._items.values() if item.started_at]
        if started:
            launch = tracing.start(attributes.LAUNCH_SPAN, parent=self._parent, began=self._began)
            launch.end(tracing.nanoseconds(min(started)))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let log lines of the run say its trace, and its job if it has one alone."""
        with job_context(self._job_id), use_span(NonRecordingSpan(self._of_all.get_span_context())):
            yield

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Do a stage's work for all pages of the batch: the spans of its requests and writes are below it."""
        known = self._common | ({attributes.JOB_ID: self._job_id} if self._job_id else {})
        with job_context(self._job_id), tracing.span(name, known, parent=self._parent):
            yield

    @contextmanager
    def page(self, item_id: UUID | None, stage: str) -> Iterator[Span]:
        """Do a stage's work for one page. A page of a backfill is nobody's job: it has no span."""
        item = self._items.get(item_id) if item_id else None
        if item is None:
            yield INVALID_SPAN
            return
        known = self._of_page(item, stage)
        with (
            job_context(public_id(Prefix.JOB, item.job_id)),
            tracing.span(f"{stage} page", known, parent=self._parent_of(item)) as span,
        ):
            yield span

    def embedded(
        self, item_id: UUID, *, since: datetime, model: str, tokens: int | None = None, error: str | None = None
    ) -> None:
        """Tell of a page whose vectors are all stored, or whose text was refused: requests are filled across pages.

        To be called inside the stage's span.
        """
        item = self._items.get(item_id)
        if item is None:
            return
        known = self._of_page(item, EMBED) | {attributes.EMBEDDING_MODEL: model}
        if tokens is not None:
            known[attributes.EMBEDDING_TOKENS] = tokens
        span = tracing.start(f"{EMBED} page", known, parent=self._parent_of(item) or get_current(), began=since)
        if error is not None:
            fail_page(span, EMBED, error)
        span.end()

    def end(self) -> None:
        """End the run's spans: the batch is closed."""
        for span in (*self._of_jobs.values(), self._of_all):
            if span.is_recording():
                span.end()

    def end_lost(self, code: str) -> None:
        """End the run's spans in its place: it does so no more."""
        for span in (*self._of_jobs.values(), self._of_all):
            if span.is_recording():
                tracing.fail(span, code)
        self.end()

    @property
    def _parent(self) -> Context:
        return tracing.within(self._of_all.get_span_context())

    def _parent_of(self, item: TracedItem) -> Context | None:
        """Return where a page's span is: in its job's trace; None: that is where the stage's span is, too."""
        return None if self._job_id else tracing.within(self._of_jobs[item.job_id].get_span_context())

    def _of_page(self, item: TracedItem, stage: str) -> dict[str, AttributeValue]:
        return self._common | {
            attributes.JOB_ID: public_id(Prefix.JOB, item.job_id),
            attributes.JOB_URL: _redactor.redact(item.url),
            attributes.JOB_STAGE: stage,
        }

    def _start_of_job(self, batch_id: UUID, item: TracedItem, is_shared: bool) -> Span:
        known = self._common | {
            attributes.JOB_ID: public_id(Prefix.JOB, item.job_id),
            attributes.QUEUE_NAME: self._queue,
        }
        links = [tracing.remote(tracing.trace_id_of(batch_id), tracing.span_id_of(batch_id))] if is_shared else []
        if retried := tracing.parse(item.parent_traceparent):
            links.append(retried)
        parent = tracing.parse(item.traceparent)
        return tracing.start(
            attributes.RUN_SPAN,
            known,
            parent=tracing.within(parent),
            links=links,
            ids=(trace_id_of_job(item), tracing.span_id_of(batch_id, item.job_id)),
            began=self._began,
        )

    def _start_of_all(self, batch_id: UUID, caused_by: str | None) -> Span:
        request = tracing.parse(caused_by)
        return tracing.start(
            attributes.RUN_SPAN,
            self._common | {attributes.QUEUE_NAME: self._queue},
            parent=tracing.within(request),
            links=[span.get_span_context() for span in self._of_jobs.values()],
            ids=(request.trace_id if request else tracing.trace_id_of(batch_id), tracing.span_id_of(batch_id)),
            began=self._began,
        )


def fail_page(span: Span, stage: str, code: str) -> None:
    """Say that a page failed in this stage."""
    span.set_attribute(attributes.FAILED_STAGE, FAILED_STAGES[stage])
    tracing.fail(span, code)


def trace_id_of_job(item: TracedItem) -> int:
    """Return the id of the trace of an item's job; one that no request made has its own."""
    found = tracing.parse(item.traceparent)
    return found.trace_id if found else tracing.trace_id_of(item.job_id)


def trace_of_batch(batch_id: UUID, items: Sequence[TracedItem]) -> str:
    """Return the id of the trace in which the batch's run is, as people write it."""
    jobs = {item.job_id: item for item in items}
    found = trace_id_of_job(next(iter(jobs.values()))) if len(jobs) == 1 else tracing.trace_id_of(batch_id)
    return f"{found:032x}"


def tell_claimed(items: Sequence[TracedItem]) -> None:
    """Tell of claimed items, job by job: since when they waited, and that it is over."""
    first: dict[tuple[UUID, UUID], TracedItem] = {}
    for item in sorted(items, key=lambda each: each.enqueued_at):
        first.setdefault((item.batch_id, item.job_id), item)
    for (batch_id, job_id), item in first.items():
        parent: SpanContext | None = tracing.parse(item.traceparent)
        known: Mapping[str, AttributeValue] = {
            attributes.JOB_ID: public_id(Prefix.JOB, job_id),
            attributes.CORPUS_NAME: item.corpus_name,
            attributes.QUEUE_NAME: tags.INGEST_QUEUE,
            attributes.OPERATION: attributes.WRITE,
            attributes.REQUEST_MODE: attributes.ASYNC,
        }
        ids = (trace_id_of_job(item), tracing.span_id_of(job_id, batch_id))
        tracing.start(
            attributes.CLAIM_SPAN, known, parent=tracing.within(parent), ids=ids, began=item.enqueued_at
        ).end()
