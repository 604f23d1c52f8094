"""Indexes of corpora: build another one, list them, let one serve, give one up."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import TypeAdapter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cixml.commands.connection import ApiUrl, AsJson, Key, connected, errors, screen, show, show_all

if TYPE_CHECKING:
    from cixml.client import Client
    from cixml.client.index_types import IndexVersionDetail

LOOK_SECONDS = 0.5
Corpus = Annotated[str, typer.Argument(help="Name of the corpus; another caller's is owner:name.")]
Version = Annotated[str, typer.Argument(help="Id of the index version; 'cixml indexes CORPUS' lists them.")]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: [bold]cixml reembed docs --model bge-m3 --activate[/bold] · "
        "[bold]cixml reembed --all --model bge-m3[/bold] · [bold]cixml reembed docs --from text --max-tokens 128[/bold]"
    )(reembed)
    app.command(epilog="Example: [bold]cixml indexes docs[/bold]")(indexes)
    app.command(epilog="Example: [bold]cixml activate docs ver_...[/bold]")(activate)
    app.command(epilog="Examples: [bold]cixml labels docs[/bold] · [bold]cixml labels docs --file labels.json[/bold]")(
        labels
    )
    app.command("drop-index", epilog="Example: [bold]cixml drop-index docs ver_...[/bold]")(drop)


def reembed(
    corpus: Annotated[str | None, typer.Argument(help="Name of the corpus; or --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every own corpus that the model does not serve yet.")] = False,
    model: Annotated[str | None, typer.Option(help="An enabled model; default: the one that serves.")] = None,
    source: Annotated[
        Literal["chunks", "text", "raw"],
        typer.Option("--from", help="Embed the chunks, cut the texts anew, or read the stored pages anew, too."),
    ] = "chunks",
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of a chunk; from text or raw.")] = None,
    overlap_tokens: Annotated[int | None, typer.Option(help="Tokens that neighbours share.")] = None,
    serve: Annotated[bool, typer.Option("--activate", help="Let it serve as soon as it is ready.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show how far it is, to the end.")] = True,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Build another index of a corpus, or of all, from what is stored: nothing is fetched, searches go on."""
    from cixml import tables

    if (corpus is None) == (not every):
        raise typer.BadParameter("name a corpus, or give --all")
    with connected(key, api_url) as client:
        names = [corpus] if corpus is not None else _to_reembed(client, model, source)
        asked = {
            name: client.index_versions.create(
                name,
                model=model,
                source=source,
                max_tokens=max_tokens,
                overlap_tokens=overlap_tokens,
                activate="auto" if serve else "manual",
            )
            for name in names
        }
        if wait:
            asked = _follow(client, asked)
    if as_json and corpus is None:
        entries = [{"corpus": name, **each.model_dump(mode="json", by_alias=True)} for name, each in asked.items()]
        typer.echo(json.dumps(entries))
    elif as_json:
        [found] = asked.values()
        typer.echo(found.model_dump_json(by_alias=True))
    else:
        screen.print(tables.built(asked))
    if any(each.state == "failed" for each in asked.values()):
        raise typer.Exit(1)


def _to_reembed(client: Client, model: str | None, source: str) -> list[str]:
    """Return the corpora that the caller owns, but for those that have what is asked for."""
    return [
        found.address
        for found in client.corpora.list()
        if found.role == "owner"
        and not (source == "chunks" and found.active_index and found.active_index.model == model)
    ]


def _follow(client: Client, asked: dict[str, IndexVersionDetail]) -> dict[str, IndexVersionDetail]:
    """Show progress until every version is ready, serving or given up; return their last states."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    found = dict(asked)
    with Progress(*columns, console=errors) as progress:
        tasks = {name: progress.add_task(f"{name}: {each.state}", total=None) for name, each in asked.items()}
        while waiting := [name for name, each in found.items() if not each.is_settled]:
            for name in waiting:
                each = found[name] = client.index_versions.get(name, found[name].id)
                step = each.progress.step if each.progress else None
                done, total = (step.done, step.total) if step else (0, None)
                progress.update(tasks[name], completed=done, total=total, description=_description(name, each))
            time.sleep(LOOK_SECONDS)
    return found


def _description(name: str, version: IndexVersionDetail) -> str:
    facts = [f"{name}: {version.state}"]
    if version.progress and not version.progress.is_cut:
        facts.append("cutting texts")
    if version.progress and version.progress.eta_seconds:
        facts.append(f"about {version.progress.eta_seconds} s left")
    if version.error:
        facts.append(f"{version.error.code}, it is tried again" if version.error.retryable else version.error.code)
    return "; ".join(facts)


def indexes(corpus: Corpus, as_json: AsJson = False, key: Key = None, api_url: ApiUrl = None) -> None:
    """List the indexes of a corpus: what serves, what is being built, what may serve again."""
    from cixml import tables

    with connected(key, api_url) as client:
        show_all(client.index_versions.list(corpus), as_json, tables.index_versions)


def activate(
    corpus: Corpus,
    version: Version,
    force: Annotated[bool, typer.Option("--force", help="Also where it was found worse.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it serves.")] = True,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Let an index serve that is ready, or that was replaced a while ago."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.index_versions.activate(corpus, version, force=force)
        if wait:
            with errors.status("taking over"):
                found = client.index_versions.wait(corpus, version)
        show(found, as_json, lambda: tables.index_versions([found]))


def labels(
    corpus: Corpus,
    file: Annotated[
        Path | None,
        typer.Option("--file", help='JSON in place of what is there: {"question": ["URL or id", ...], ...}.'),
    ] = None,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Show which documents answer which questions, by which indexes are compared; or say it anew."""
    from cixml import tables

    said = None if file is None else _said(file)
    with connected(key, api_url) as client:
        versions = client.index_versions
        found = versions.labels(corpus) if said is None else versions.put_labels(corpus, said)
        show_all(found, as_json, tables.labels)


def _said(file: Path) -> dict[str, list[str]]:
    try:
        return TypeAdapter(dict[str, list[str]]).validate_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {error}") from error


def drop(corpus: Corpus, version: Version, as_json: AsJson = False, key: Key = None, api_url: ApiUrl = None) -> None:
    """Give up an index that does not serve."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.index_versions.delete(corpus, version)
        show(found, as_json, lambda: tables.index_versions([found]))
