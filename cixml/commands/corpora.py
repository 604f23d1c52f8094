"""Corpora: list, create, show, share, delete."""

from __future__ import annotations

from typing import Annotated

import typer

from cixml.commands.connection import ApiUrl, AsJson, Key, Most, connected, errors, show, show_all

corpora_app = typer.Typer(
    invoke_without_command=True,
    help="List corpora; create, show, share or delete one.",
    epilog="Examples: [bold]cixml corpora[/bold] · [bold]cixml corpora create docs --title Docs[/bold] · "
    "[bold]cixml corpora grant docs CALLER reader[/bold]",
)
Name = Annotated[str, typer.Argument(help="Name of the corpus; another caller's is owner:name.", metavar="CORPUS")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(corpora_app, name="corpora")
    app.command(epilog="Example: [bold]cixml receipt rcp_... --wait[/bold]")(receipt)


@corpora_app.callback()
def list_corpora(
    context: typer.Context,
    most: Most = 100,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """List own and granted corpora; create, show, share or delete one."""
    if context.invoked_subcommand:
        return
    from cixml import tables

    with connected(key, api_url) as client:
        show_all(client.corpora.list(most=most), as_json, tables.corpora)


@corpora_app.command(epilog="Example: [bold]cixml corpora create docs --title 'Product docs' --max-tokens 128[/bold]")
def create(
    name: Name,
    title: Annotated[str | None, typer.Option(help="What people see.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of a chunk.")] = None,
    overlap_tokens: Annotated[int | None, typer.Option(help="Tokens that neighbours share.")] = None,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Make an empty corpus. The first job of a name makes it too, with the default settings."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.corpora.create(name, title=title, max_tokens=max_tokens, overlap_tokens=overlap_tokens)
        show(found, as_json, lambda: tables.corpus(found))


@corpora_app.command("show", epilog="Example: [bold]cixml corpora show docs[/bold]")
def show_corpus(name: Name, as_json: AsJson = False, key: Key = None, api_url: ApiUrl = None) -> None:
    """Show what a corpus holds, how it is indexed and who may use it."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.corpora.get(name)
        show(found, as_json, lambda: tables.corpus(found))


@corpora_app.command(epilog="Example: [bold]cixml corpora delete docs --yes[/bold]")
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Delete a corpus with all that is in it; prints the receipt."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.corpora.get(name)
        if not yes:
            typer.confirm(f"delete {name} with its {found.counts.documents} documents?", abort=True, err=True)
        receipt = client.corpora.delete(name, if_match=found.etag)
        show(receipt, as_json, lambda: tables.receipt(receipt))


@corpora_app.command(
    epilog="Examples: [bold]cixml corpora grant docs CALLER reader[/bold] · "
    "[bold]cixml corpora grant docs CALLER none[/bold]"
)
def grant(
    name: Name,
    caller: Annotated[str, typer.Argument(help="The other caller's id; 'cixml keys create' tells it.")],
    role: Annotated[str, typer.Argument(help="reader, writer, owner; or none, to take it away.")],
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Let another caller use a corpus; it names the corpus owner:name."""
    from cixml import tables

    if role not in ("reader", "writer", "owner", "none"):
        raise typer.BadParameter(f"{role!r} is no role: use reader, writer, owner or none")
    with connected(key, api_url) as client:
        if role == "none":
            client.corpora.revoke(name, caller)
        else:
            client.corpora.grant(name, caller, role)
        show_all(client.corpora.grants(name), as_json, tables.grants)


def receipt(
    receipt_id: Annotated[str, typer.Argument(help="Id of the receipt.", metavar="RECEIPT")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until nothing is left.")] = False,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Show how far a deletion is."""
    from cixml import tables

    with connected(key, api_url) as client, errors.status("deleting") if wait else errors.status("asking"):
        found = client.receipts.wait(receipt_id) if wait else client.receipts.get(receipt_id)
    show(found, as_json, lambda: tables.receipt(found))
