"""How jobs, items, corpora, documents and numbers look on a screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from cixml.client.index_types import ComparisonReport, IndexVersionDetail, LabelRecord
from cixml.client.types import (
    Allowance,
    Chunk,
    Corpus,
    Document,
    DocumentDetail,
    Grant,
    Item,
    Job,
    PlacedItem,
    Quota,
    Receipt,
    UsageReport,
)

if TYPE_CHECKING:
    from cixml.doctor import Check

_COLOURS = {
    "ok": "green",
    "warning": "yellow",
    "succeeded": "green",
    "indexed": "green",
    "live": "green",
    "done": "green",
    "serving": "green",
    "ready": "green",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "dim",
}


def checks(found: Iterable[Check]) -> Table:
    table = _table("part", "state", "found", "to do")
    for check in found:
        table.add_row(check.name, _state(check.verdict), escape(check.found), escape(check.remedy or ""))
    return table


def jobs(found: Iterable[Job]) -> Table:
    table = _table("job", "corpus", "status", "items", "failed", "created")
    for job in found:
        done = f"{job.items.ended}/{job.items.total}"
        table.add_row(job.id, job.corpus, _state(job.status), done, _number(job.items.failed), _time(job.created_at))
    return table


def job(found: Job) -> RenderableType:
    items, error = found.items, found.error
    states = ("queued", "scraping", "chunking", "embedding", "indexed", "unchanged", "skipped", "failed", "cancelled")
    return _facts(
        job=found.id,
        status=_state(found.status),
        corpus=found.corpus,
        parent=found.parent_job_id,
        items=", ".join(f"{getattr(items, state)} {state}" for state in states if getattr(items, state)),
        progress=f"{found.progress:.0%}" + (f", about {found.eta_seconds} s left" if found.eta_seconds else ""),
        waits=waiting(found),
        error=f"{error.failed_stage}: {error.code}: {escape(error.detail or '')}" if error else None,
        used=f"{found.usage.pages} pages, {found.usage.chunks} chunks, {found.usage.embedding_tokens} tokens embedded, "
        f"{found.usage.cached_tokens} taken from before",
        created=_time(found.created_at),
        ended=_time(found.finished_at),
        runs=", ".join(run.run_id for run in found.runs),
        trace=found.trace_id,
    )


def waiting(found: Job) -> str:
    """Say why items wait, as `3 for breaker_open`."""
    return ", ".join(f"{each.items} for {each.reason}" for each in found.waiting)


def items(found: Sequence[Item]) -> Table:
    is_placed = any(isinstance(item, PlacedItem) for item in found)
    table = _table("item", *(["corpus"] if is_placed else []), "status", "page", "why")
    for item in found:
        error = item.error
        why = f"{error.failed_stage}: {error.code}" if error else item.waiting_reason or item.change or ""
        place = [item.corpus] if isinstance(item, PlacedItem) else []
        table.add_row(item.id, *place, _state(item.status), escape(item.name), escape(why))
    return table


def corpora(found: Iterable[Corpus]) -> Table:
    table = _table("corpus", "role", "documents", "chunks", "MB", "model", "title")
    for corpus in found:
        counts, index = corpus.counts, corpus.active_index
        table.add_row(
            corpus.address,
            corpus.role,
            _number(counts.documents),
            _number(counts.chunks),
            f"{counts.bytes / 1e6:.1f}",
            index.model if index else "-",
            escape(corpus.title or ""),
        )
    return table


def corpus(found: Corpus) -> RenderableType:
    counts, index = found.counts, found.active_index
    table = _facts(
        corpus=found.address,
        owner=found.owner,
        role=found.role,
        title=escape(found.title or ""),
        holds=f"{counts.documents} documents, {counts.chunks} chunks, {counts.bytes / 1e6:.1f} MB as fetched",
        index=f"{index.kind}, {index.model}, chunks of {index.chunking.max_tokens} tokens, "
        f"{index.chunking.overlap_tokens} of them shared"
        if index
        else None,
        partition=found.partition,
        checked=f"{_time(found.freshness.oldest)} ... {_time(found.freshness.newest)}",
    )
    return Group(table, grants(found.grants)) if found.grants else table


def index_versions(found: Iterable[IndexVersionDetail]) -> Table:
    table = _table("index", "model", "state", "from", "nDCG@10", "chunks of", "done", "why")
    for version in found:
        source, quality = version.fill_from or "", _quality(version.comparison)
        table.add_row(version.id, version.model, _state(version.state), source, quality, *_fill(version))
    return table


def built(found: Mapping[str, IndexVersionDetail]) -> Table:
    """Show the indexes that were asked for, by corpus."""
    table = _table("corpus", "index", "model", "state", "chunks of", "done", "why")
    for corpus, version in found.items():
        table.add_row(corpus, version.id, version.model, _state(version.state), *_fill(version))
    return table


def labels(found: Iterable[LabelRecord]) -> Table:
    table = _table("question", "answered by")
    for label in found:
        table.add_row(escape(label.query), escape(", ".join(label.relevant)))
    return table


def _quality(report: ComparisonReport | None) -> str:
    """Show what it was worth beside what served then, as `0.58 (0.52)`."""
    if report is None or report.candidate.ndcg_at_10 is None:
        return ""
    before = report.serving.ndcg_at_10 if report.serving else None
    return f"{report.candidate.ndcg_at_10:.2f}" + ("" if before is None else f" ({before:.2f})")


def _fill(version: IndexVersionDetail) -> tuple[str, str, str]:
    done = f"{version.progress.chunks.done}/{version.progress.chunks.total}" if version.progress else ""
    why = escape(version.error.detail) if version.error else ""
    if version.drop_after and version.drop_after > datetime.now(UTC):
        why = f"may serve again until {_time(version.drop_after)}"
    return f"{version.chunking.max_tokens} tokens", done, why


def grants(found: Iterable[Grant]) -> Table:
    table = _table("caller", "role", "since")
    for grant in found:
        table.add_row(grant.caller_id, grant.role, _time(grant.granted_at))
    return table


def documents(found: Iterable[Document]) -> Table:
    table = _table("document", "status", "chunks", "name", "title")
    for document in found:
        table.add_row(
            document.id,
            _state(document.status),
            _number(document.chunk_count),
            escape(document.name),
            escape(document.title or ""),
        )
    return table


def document(found: DocumentDetail) -> RenderableType:
    table = _facts(
        document=found.id,
        url=found.url,
        external_id=escape(found.external_id or ""),
        status=_state(found.status),
        title=escape(found.title or ""),
        language=found.language,
        type=found.content_type,
        bytes=_number(found.bytes),
        chunks=_number(found.chunk_count),
        published=_time(found.published_at),
        fetched=_time(found.fetched_at),
        checked=_time(found.checked_at),
        metadata=escape(str(found.metadata)) if found.metadata else "",
    )
    versions = _table("version", "live", "bytes", "fetched")
    for version in found.versions:
        versions.add_row(version.id, "live" if version.is_live else "", str(version.bytes), _time(version.fetched_at))
    return Group(table, versions)


def chunks(found: Iterable[Chunk]) -> Table:
    table = _table("", "tokens", "heading", "text")
    for chunk in found:
        text = " ".join(chunk.text.split())
        table.add_row(str(chunk.ordinal), str(chunk.token_count), escape(chunk.heading or ""), escape(text[:100]))
    return table


def receipt(found: Receipt) -> RenderableType:
    removed = ", ".join(f"{number} {name}" for name, number in found.removed.model_dump().items() if number)
    return _facts(
        receipt=found.id,
        deletes=f"{found.kind} of {found.corpus}" if found.kind != "corpus" else found.corpus,
        status=_state(found.status),
        waits_for=found.waits_for,
        removed=removed,
        requested=_time(found.requested_at),
        finished=_time(found.finished_at),
        trace=found.trace_id,
    )


def usage(found: UsageReport) -> Table:
    names = ("caller_id", "corpus", "model", "operation", "day")
    numbers = ("pages", "bytes", "chunks", "embedding_tokens", "cached_tokens", "searches")
    shown = [name for name in names if any(getattr(group, name) is not None for group in found.content)]
    table = _table(*shown, *(name.replace("_", " ") for name in numbers))
    for group in found.content:
        table.add_row(
            *(str(getattr(group, name) or "-") for name in shown), *(_number(getattr(group, name)) for name in numbers)
        )
    if shown:
        total = ["in all", *[""] * (len(shown) - 1)]
        table.add_section()
        table.add_row(*total, *(_number(getattr(found.total, name)) for name in numbers))
    return table


def quota(found: Quota) -> Table:
    table = _table("limit", "used", "of", "whole again in")
    for name, allowance in found:
        if isinstance(allowance, Allowance):
            reset = "" if allowance.reset_seconds is None else f"{allowance.reset_seconds:.0f} s"
            table.add_row(name.replace("_", " "), _number(allowance.used), _number(allowance.limit), reset)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _facts(**facts: str | None) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, fact in facts.items():
        if fact:
            table.add_row(name.replace("_", " "), fact)
    return table


def _state(state: str) -> str:
    colour = _COLOURS.get(state)
    return f"[{colour}]{state}[/{colour}]" if colour else state


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _time(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if moment else ""
