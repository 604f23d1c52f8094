"""The waterfall of a job's trace, or of any other, from the files of the embedded stack."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cixml.commands.connection import ApiUrl, AsJson, Key, connected, screen
from resources.errors import CixmlError, NotFoundError
from resources.settings import Settings

_TRACE_ID = re.compile(r"(?:00-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?")


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: [bold]cixml trace job_...[/bold] · [bold]cixml trace job_... --all[/bold] · "
        "[bold]cixml trace --trace-id 4bf92f3577b34da6a3ce929d0e0e4736[/bold]"
    )(trace)


def trace(
    job_id: Annotated[str | None, typer.Argument(help="Id of a job.")] = None,
    trace_id: Annotated[
        str | None,
        typer.Option(help="A trace: 'trace_id' of a receipt or an index; of a search its header 'traceparent'."),
    ] = None,
    is_whole: Annotated[bool, typer.Option("--all", help="A line for each page, however many there are.")] = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Show where the time of a job went, from its request to its last page, also while it works."""
    from cixml.trace_files import linked_traces, spans_of_traces, trace_of_job
    from cixml.waterfall import tree, waterfall

    if (job_id is None) == (trace_id is None):
        raise typer.BadParameter("name a job, or give --trace-id")
    folder = Settings.load().trace_folder
    wanted = _parsed(trace_id) if trace_id is not None else trace_of_job(folder, job_id or "")
    spans = spans_of_traces(folder, [wanted]) if wanted else []
    if not wanted or not spans:
        _explain(job_id, folder, key, api_url)
        raise NotFoundError(f"no span of the trace {wanted} is in {folder}: none was recorded, or its files are gone")
    spans += spans_of_traces(folder, linked_traces(spans))
    if as_json:
        found = [asdict(span) for span in sorted(spans, key=lambda each: each.began)]
        typer.echo(json.dumps({"trace_id": wanted, "job_id": job_id, "spans": found}))
        return
    screen.print(f"trace {wanted}" + (f" of {job_id}" if job_id else ""), highlight=False)
    screen.print(waterfall(tree(spans, wanted), is_whole=is_whole))


def _parsed(given: str) -> str:
    match = _TRACE_ID.fullmatch(given.strip().lower())
    if match is None:
        raise typer.BadParameter("a trace id has 32 hex digits; a whole 'traceparent' is taken, too")
    return match[1]


def _explain(job_id: str | None, folder: Path, key: str | None, api_url: str | None) -> None:
    """Say why nothing is found of a job: the API knows whether there is one. Raises NotFoundError."""
    if job_id is None:
        return
    with connected(key, api_url) as client:
        try:
            job = client.jobs.get(job_id)
        except CixmlError as error:
            raise NotFoundError(f"no span of {job_id} is in {folder}; the API says: {error}") from error
    raise NotFoundError(
        f"{job_id} is {job.status}, but no span of it is in {folder}: look for the trace {job.trace_id} where spans go "
        f"(CIXML_TELEMETRY__TRACES), or its files were removed to make room (CIXML_TELEMETRY__TRACE_FILE_BYTES)"
    )
