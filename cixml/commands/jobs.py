"""Jobs: submit, list, watch, cancel, retry; their items, and the dead letters of all."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cixml.commands.connection import ApiUrl, AsJson, Key, Most, connected, errors, screen, show, show_all, split
from resources.types import ItemStatus, JobStatus, Stage

if TYPE_CHECKING:
    from cixml.client import Client, Job, PushedDocument


class Crawl(StrEnum):
    LINKS = "links"
    SITEMAP = "sitemap"


_MARKDOWN = (".md", ".markdown")
jobs_app = typer.Typer(
    invoke_without_command=True,
    help="List jobs, the newest first; or show one.",
    epilog="Examples: [bold]cixml jobs --status failed,partial[/bold] · [bold]cixml jobs show job_...[/bold]",
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(jobs_app, name="jobs")
    app.command(
        epilog="Examples: [bold]cixml submit docs https://example.com/ https://example.com/faq[/bold] · "
        "[bold]cixml submit docs https://example.com/ --crawl links --max-pages 50[/bold] · "
        "[bold]cixml submit docs --file notes.md[/bold] · "
        "[bold]echo 'Some text' | cixml submit docs --file - --id note-1[/bold]"
    )(submit)
    app.command(epilog="Example: [bold]cixml watch job_...[/bold]")(watch)
    app.command(epilog="Example: [bold]cixml cancel job_...[/bold]")(cancel)
    app.command(epilog="Examples: [bold]cixml retry job_...[/bold] · [bold]cixml retry item_...[/bold]")(retry)
    app.command(
        epilog="Examples: [bold]cixml items --failed --code http_5xx[/bold] · [bold]cixml items job_...[/bold]"
    )(items)


@jobs_app.callback()
def list_jobs(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help=f"One or several of {', '.join(JobStatus)}.")] = None,
    corpus: Annotated[str | None, typer.Option(help="Jobs of this corpus.")] = None,
    most: Most = 20,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """List jobs, the newest first; or show one."""
    if context.invoked_subcommand:
        return
    from cixml import tables

    with connected(key, api_url) as client:
        show_all(client.jobs.list(status=split(status), corpus=corpus, most=most), as_json, tables.jobs)


@jobs_app.command("show", epilog="Example: [bold]cixml jobs show job_... --json[/bold]")
def show_job(
    job: Annotated[str, typer.Argument(help="Id of the job.")],
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Show a job: its items by state, what it waits for, its runs."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.jobs.get(job)
        show(found, as_json, lambda: tables.job(found))


def submit(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus; made on first use.")],
    urls: Annotated[list[str] | None, typer.Argument(help="Pages to index.", metavar="URL...")] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--file", help="A file of text or Markdown; - is the standard input. May be given again."),
    ] = None,
    external_id: Annotated[
        str | None, typer.Option("--id", help="Your own id of the one file; default: its name.")
    ] = None,
    crawl: Annotated[Crawl | None, typer.Option(help="Find more pages, beginning with the URLs.")] = None,
    max_pages: Annotated[int, typer.Option(min=1, help="Of a crawl: pages in all.")] = 500,
    max_depth: Annotated[int, typer.Option(min=0, help="Of a crawl by links: how far from the URLs.")] = 2,
    detach: Annotated[bool, typer.Option("--detach", help="Don't wait for the end of the job.")] = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Index pages and texts and watch the job until it ends; exit code 1 if it failed."""
    if not urls and not files:
        raise typer.BadParameter("give URLs, or --file")
    if external_id and len(files or ()) != 1:
        raise typer.BadParameter("--id is of one --file")
    from cixml.client import CrawlRules

    documents = [read_document(name, external_id) for name in files or ()]
    rules = CrawlRules(mode=crawl.value, max_pages=max_pages, max_depth=max_depth) if crawl else None
    with connected(key, api_url) as client:
        job = client.jobs.submit(corpus, urls or (), documents=documents, crawl=rules)
        finish(client, job, detach=detach, as_json=as_json)


def read_document(name: str, external_id: str | None) -> PushedDocument:
    from cixml.client import PushedDocument

    if name == "-":
        if external_id is None:
            raise typer.BadParameter("what comes from the standard input needs an id: give --id")
        return PushedDocument(external_id=external_id, text=sys.stdin.read())
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{name} is no UTF-8 text: 'cixml documents upload' takes other files") from error
    found = external_id or path.name
    if path.suffix.lower() in _MARKDOWN:
        return PushedDocument(external_id=found, markdown=text)
    return PushedDocument(external_id=found, text=text)


def finish(client: Client, job: Job, *, detach: bool, as_json: bool) -> None:
    """Watch a job that was started, show what came of it, and exit with 1 if that was nothing."""
    from cixml.following import follow, print_job

    if not detach:
        job = follow(client, job.id, errors)
    if as_json:
        typer.echo(job.model_dump_json(by_alias=True))
    elif detach:
        screen.print(f"job {job.id}: see it with 'cixml watch {job.id}'", soft_wrap=True)
    else:
        print_job(screen, client, job)
    if job.has_ended and not job.is_good:
        raise typer.Exit(1)


def watch(
    job: Annotated[str, typer.Argument(help="Id of the job.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Watch a job until it ends: progress, the time that is left, why it waits. Exit code 1 if it failed."""
    with connected(key, api_url) as client:
        if not as_json:
            finish(client, client.jobs.get(job), detach=False, as_json=False)
            return
        for event in client.jobs.events(job):
            data = event.data.model_dump_json(by_alias=True)
            typer.echo(f'{{"event":"{event.name}","id":"{event.id}","data":{data}}}')
        if not client.jobs.get(job).is_good:
            raise typer.Exit(1)


def cancel(
    job: Annotated[str, typer.Argument(help="Id of the job.")],
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Cancel what has not ended of a job; what was indexed stays."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.jobs.cancel(job)
        show(found, as_json, lambda: tables.job(found))


def retry(
    what: Annotated[str, typer.Argument(help="Id of a job, or of one item.", metavar="JOB|ITEM")],
    detach: Annotated[bool, typer.Option("--detach", help="Don't wait for the end of the new job.")] = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Try again what failed or was cancelled, as a new job, from the stage that failed."""
    with connected(key, api_url) as client:
        job = client.items.retry(what) if what.startswith("item_") else client.jobs.retry(what)
        finish(client, job, detach=detach, as_json=as_json)


def items(
    job: Annotated[str | None, typer.Argument(help="Id of a job; without it the failed items of all jobs.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Failed items alone.")] = False,
    status: Annotated[str | None, typer.Option(help=f"Of a job: one or several of {', '.join(ItemStatus)}.")] = None,
    corpus: Annotated[str | None, typer.Option(help="Failed items of this corpus.")] = None,
    stage: Annotated[str | None, typer.Option(help=f"Failed in one or several of {', '.join(Stage)}.")] = None,
    code: Annotated[str | None, typer.Option(help="Failed with one or several codes, as http_4xx,timeout.")] = None,
    most: Most = 50,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """List the items of a job; or the dead letters: what failed for good, over all jobs."""
    from cixml import tables

    if job is None and status not in (None, "failed"):
        raise typer.BadParameter("items of all jobs are the failed ones: name a job to see others")
    if job is not None and corpus:
        raise typer.BadParameter("a job has one corpus: give --corpus without a job")
    with connected(key, api_url) as client:
        if job is None:
            dead = client.items.failed(corpus=corpus, stage=split(stage), code=split(code), most=most)
            show_all(dead, as_json, tables.items)
            return
        states = ["failed"] if failed else split(status)
        found = client.jobs.items(job, status=states, failed_stage=split(stage), code=split(code), most=most)
        show_all(found, as_json, tables.items)
