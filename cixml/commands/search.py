"""Searching corpora, and where a hit comes from."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from cixml.commands.connection import ApiUrl, AsJson, Key, connected, screen, show


def add_to(app: typer.Typer) -> None:
    app.command(epilog='Example: [bold]cixml search docs "how do I rotate a key" --top-k 3[/bold]')(search)
    app.command(epilog="Example: [bold]cixml lineage chk_...[/bold]")(lineage)


def search(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus; of several, separated by commas.")],
    query: Annotated[str, typer.Argument(help="A question in plain words.")],
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=100)] = 5,
    mode: Annotated[str | None, typer.Option("--mode", help="dense (or vector, the default), keyword, hybrid.")] = None,
    where: Annotated[
        str | None, typer.Option("--filter", help='JSON, e.g. {"field": "language", "eq": "en"}.', metavar="JSON")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=-1, max=1, help="The least cosine of a hit; for dense searches.")
    ] = None,
    per_document: Annotated[
        int | None, typer.Option("--per-document", min=1, max=10, help="At most so many hits of one document.")
    ] = None,
    neighbours: Annotated[
        int | None, typer.Option("--neighbours", min=0, max=5, help="Show so many chunks before and after each hit.")
    ] = None,
    highlight: Annotated[bool, typer.Option("--highlight", help="Mark the words of the question.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show what put each hit in its place, and times.")] = False,
    cursor: Annotated[str | None, typer.Option("--cursor", help="The next hits: 'next' of the answer before.")] = None,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Search a corpus and print the hits."""
    from cixml.hits import print_hits

    names = corpus.split(",")
    given: dict[str, Any] = {"top_k": top_k, "mode": mode, "filter": _filter(where), "threshold": threshold}
    given |= {"group_size": per_document, "neighbours": neighbours, "highlights": highlight, "explain": explain}
    given["cursor"] = cursor
    with connected(key, api_url) as client:
        if names[1:]:
            answer: Any = client.search_corpora(names, query, **given)
        else:
            answer = client.search(corpus, query, **given)
    if as_json:
        typer.echo(answer.model_dump_json(by_alias=True))
    else:
        print_hits(screen, answer)


def lineage(
    chunk: Annotated[str, typer.Argument(help="Id of the chunk, as searches tell it.", metavar="CHUNK")],
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Show where a hit comes from: page, text, chunk, vector, and the Dagster runs that made them."""
    from cixml.hits import lineage as table

    with connected(key, api_url) as client:
        found = client.lineage(chunk)
    show(found, as_json, lambda: table(found))


def _filter(text: str | None) -> dict[str, Any] | None:
    """Return a filter that was given as JSON; what is in it, the API checks."""
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--filter is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise typer.BadParameter("--filter is a JSON object")
    return found
