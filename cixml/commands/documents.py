"""Documents of a corpus: list, show, put, upload, refresh, delete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cixml.commands.connection import ApiUrl, AsJson, Key, Most, connected, show, show_all, split
from cixml.commands.corpora import Name
from cixml.commands.jobs import finish, read_document

documents_app = typer.Typer(
    no_args_is_help=True,
    help="What is in a corpus: list, show, put, upload, refresh, delete.",
    epilog="Examples: [bold]cixml documents list docs[/bold] · [bold]cixml documents upload docs manual.html[/bold]",
)
Document = Annotated[str, typer.Argument(help="Id of the document.", metavar="DOCUMENT")]
Detach = Annotated[bool, typer.Option("--detach", help="Don't wait for the end of the job.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(documents_app, name="documents")


@documents_app.command("list", epilog="Example: [bold]cixml documents list docs --status live,pending[/bold]")
def list_documents(
    corpus: Name,
    url: Annotated[str | None, typer.Option(help="The document of this URL.")] = None,
    external_id: Annotated[str | None, typer.Option("--id", help="Documents of your own id.")] = None,
    status: Annotated[str | None, typer.Option(help="live, pending or both.")] = None,
    language: Annotated[str | None, typer.Option(help="One or several, as en,de.")] = None,
    most: Most = 50,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """List documents, oldest first."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.documents.list(
            corpus, url=url, external_id=external_id, status=split(status), language=split(language), most=most
        )
        show_all(found, as_json, tables.documents)


@documents_app.command("show", epilog="Example: [bold]cixml documents show docs doc_... --text[/bold]")
def show_document(
    corpus: Name,
    document: Document,
    text: Annotated[bool, typer.Option("--text", help="Print the text that was cut into chunks.")] = False,
    chunks: Annotated[bool, typer.Option("--chunks", help="List its chunks.")] = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Show a document and its versions; or its text, or its chunks."""
    from cixml import tables

    with connected(key, api_url) as client:
        if text:
            typer.echo(client.documents.content(corpus, document).body.decode())
        elif chunks:
            show_all(client.documents.chunks(corpus, document), as_json, tables.chunks)
        else:
            found = client.documents.get(corpus, document)
            show(found, as_json, lambda: tables.document(found))


@documents_app.command(
    epilog="Examples: [bold]cixml documents put docs notes.md[/bold] · "
    "[bold]echo 'Some text' | cixml documents put docs - --id note-1[/bold]"
)
def put(
    corpus: Name,
    file: Annotated[str, typer.Argument(help="A file of text or Markdown; - is the standard input.")],
    external_id: Annotated[str | None, typer.Option("--id", help="Your own id; default: the file's name.")] = None,
    detach: Detach = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Push a text into a corpus that is there; under the same id it replaces the one before."""
    document = read_document(file, external_id)
    with connected(key, api_url) as client:
        finish(client, client.documents.put(corpus, document), detach=detach, as_json=as_json)


@documents_app.command(epilog="Example: [bold]cixml documents upload docs manual.html --title Manual[/bold]")
def upload(
    corpus: Name,
    file: Annotated[Path, typer.Argument(help="The file, of a kind that its name tells.", exists=True, dir_okay=False)],
    external_id: Annotated[str | None, typer.Option("--id", help="Your own id; default: the file's name.")] = None,
    title: Annotated[str | None, typer.Option(help="Else the file's own heading.")] = None,
    metadata: Annotated[str | None, typer.Option(help='A JSON object of scalars, as {"product": "x"}.')] = None,
    detach: Detach = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Push a file into a corpus that is there."""
    try:
        fields = json.loads(metadata or "{}")
    except ValueError as error:
        raise typer.BadParameter(f"--metadata is no JSON object: {error}") from error
    with connected(key, api_url) as client:
        job = client.documents.upload(corpus, file, external_id=external_id, title=title, metadata=fields)
        finish(client, job, detach=detach, as_json=as_json)


@documents_app.command(epilog="Example: [bold]cixml documents refresh docs doc_...[/bold]")
def refresh(
    corpus: Name,
    document: Document,
    detach: Detach = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Fetch a document's URL again."""
    with connected(key, api_url) as client:
        finish(client, client.documents.refresh(corpus, document), detach=detach, as_json=as_json)


@documents_app.command(
    epilog="Examples: [bold]cixml documents delete docs doc_...[/bold] · "
    "[bold]cixml documents delete docs --url-prefix https://example.com/old/ --dry-run[/bold]"
)
def delete(
    corpus: Name,
    document: Annotated[str | None, typer.Argument(help="Id of the document.", metavar="DOCUMENT")] = None,
    url_prefix: Annotated[str | None, typer.Option(help="Or every document whose URL begins so.")] = None,
    language: Annotated[str | None, typer.Option(help="Or every document in this language.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them and delete nothing.")] = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Delete a document, or those that pass a filter; prints the receipt."""
    from cixml import tables

    conditions = {k: v for k, v in {"url_prefix": url_prefix, "language": language}.items() if v}
    if bool(document) == bool(conditions) or (document and dry_run):
        raise typer.BadParameter("give the id of a document, or --url-prefix or --language (with --dry-run to count)")
    with connected(key, api_url) as client:
        if dry_run:
            count = client.documents.count_matching(corpus, **conditions)
            typer.echo(json.dumps({"documents": count}) if as_json else f"{count} documents")
            return
        if document:
            receipt = client.documents.delete(corpus, document)
        else:
            receipt = client.documents.delete_matching(corpus, **conditions)
        show(receipt, as_json, lambda: tables.receipt(receipt))
