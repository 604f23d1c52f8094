"""Watching a job until it ends, with a progress bar; and showing what came of it."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cixml import tables
from cixml.client import Client, Job

_POLL_SECONDS = 0.5
_DONE = ("indexed", "unchanged", "skipped", "failed", "cancelled")
_STAGES = ("scraping", "chunking", "embedding")


def follow(client: Client, job_id: str, console: Console) -> Job:
    """Show progress, the time that is left and why items wait, until the job ends; return its last state."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("queued", total=None)
        while True:
            job = client.jobs.get(job_id)
            progress.update(task, completed=job.items.ended, total=job.items.total, description=_description(job))
            if job.has_ended:
                return job
            time.sleep(_POLL_SECONDS)


def _description(job: Job) -> str:
    """Say where the items are, as `running: 3 scraping, 12 embedding; about 9 s left`."""
    under_way = ", ".join(f"{getattr(job.items, stage)} {stage}" for stage in _STAGES if getattr(job.items, stage))
    facts = [f"{job.status}: {under_way}" if under_way else job.status]
    if not job.has_ended:
        facts += [f"about {job.eta_seconds} s left"] if job.eta_seconds else []
        facts += [f"waiting: {tables.waiting(job)}"] if job.waiting else []
    return "; ".join(facts)


def print_job(console: Console, client: Client, job: Job) -> None:
    """Print the outcome in numbers, and each failed item with its reason."""
    usage = job.usage
    counts = ", ".join(f"{getattr(job.items, state)} {state}" for state in _DONE if getattr(job.items, state))
    console.print(f"job {job.id}: {job.status} ({counts})")
    console.print(
        f"{usage.pages} pages fetched, {usage.chunks} chunks, "
        f"{usage.embedding_tokens} tokens embedded, {usage.cached_tokens} taken from before"
    )
    if not job.items.failed:
        return
    for item in client.jobs.items(job.id, status=["failed"]):
        code, detail = (item.error.code, item.error.detail or "") if item.error else ("internal", "")
        console.print(f"[red]failed[/red] {escape(item.name)}: {code} {escape(detail)}")
    console.print(f"try them again with 'cixml retry {job.id}'")
