"""Watching a job until it ends, with a progress bar; and showing what came of it."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cixml.client import ENDED, Client, Json

_POLL_SECONDS = 0.5
_DONE = ("indexed", "unchanged", "skipped", "failed", "cancelled")
_SNIPPET_CHARACTERS = 240


def follow(client: Client, job_id: str, console: Console) -> Json:
    """Show progress until the job ends and return its last state."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("queued", total=None)
        while True:
            job = client.job(job_id)
            items = job["items"]
            done = sum(items.get(state, 0) for state in _DONE)
            progress.update(task, completed=done, total=items["total"], description=_stages(job))
            if job["status"] in ENDED:
                return job
            time.sleep(_POLL_SECONDS)


def _stages(job: Json) -> str:
    """Say where the items are, as `running: 3 scraping, 12 embedding`."""
    under_way = [f"{job['items'].get(s, 0)} {s}" for s in ("scraping", "chunking", "embedding") if job["items"].get(s)]
    return f"{job['status']}: {', '.join(under_way)}" if under_way else str(job["status"])


def print_job(console: Console, client: Client, job: Json) -> None:
    """Print the outcome in numbers, and each failed item with its reason."""
    items, usage = job["items"], job.get("usage") or {}
    counts = ", ".join(f"{items[state]} {state}" for state in _DONE if items.get(state))
    console.print(f"job {job['id']}: {job['status']} ({counts})")
    console.print(
        f"{usage.get('pages', 0)} pages fetched, {usage.get('chunks', 0)} chunks, "
        f"{usage.get('embedding_tokens', 0)} tokens embedded, {usage.get('cached_tokens', 0)} taken from before"
    )
    for item in client.items(job["id"], status="failed") if items.get("failed") else ():
        error = item.get("error") or {}
        name = item["url"] or item["external_id"]
        console.print(f"[red]failed[/red] {escape(name)}: {error.get('code')} {escape(error.get('detail') or '')}")


def print_hits(console: Console, answer: Json) -> None:
    """Print each hit: rank, score, title, address, the beginning of its text."""
    if answer.get("degraded"):
        console.print(f"[yellow]degraded:[/yellow] {answer['degraded']}")
    if not answer["results"]:
        console.print("no hits")
    for number, hit in enumerate(answer["results"], start=1):
        text = " ".join((hit.get("text") or "").split())
        snippet = text if len(text) <= _SNIPPET_CHARACTERS else text[:_SNIPPET_CHARACTERS].rsplit(" ", 1)[0] + " ..."
        address = hit["url"] or hit["external_id"]
        console.print(
            f"[bold]{hit.get('rank', number)}. {escape(hit.get('title') or address)}[/bold]  {hit['score']:.3f}"
        )
        console.print(f"   {escape(address)}\n   {escape(snippet)}", highlight=False)
