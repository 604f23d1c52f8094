"""The console script `cixml`. Here are commands and what they print; the work is in `embedded`, `client` and the floor."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cixml.embedded import stack
from cixml.embedded.processes import NAMES
from cixml.embedded.state import Home
from cixml.embedded.status import StackState, read_status
from cixml.output import print_addresses, print_status
from resources.errors import CixmlError
from resources.settings import Settings

app = typer.Typer(
    name="cixml",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="URLs in, searchable corpora out. Example: [bold]cixml up --detach && cixml status[/bold]",
)
screen = Console()
errors = Console(stderr=True)


def _home() -> Home:
    return Home(Settings.load().home)


@app.command(epilog="Examples: cixml up · cixml up --detach · CIXML_HOME=/srv/cixml cixml up --detach")
def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return once the stack is ready.")] = False,
    only: Annotated[str, typer.Option(help="Start only these, comma separated (for tests and development).")] = "",
) -> None:
    """Start the embedded stack; without --detach stay until Ctrl-C, then stop it."""
    home = _home()
    names = [name.strip() for name in only.split(",") if name.strip()] or list(NAMES)
    with errors.status("starting") as line:
        started = stack.start_stack(home, only=names, say=lambda name: line.update(f"waiting for {name}"))
    if not started:
        errors.print("it already runs")
    print_addresses(screen, read_status(home))
    if started and not detach:
        stack.stay(home)


@app.command()
def down() -> None:
    """Stop the stack; its data stay."""
    with errors.status("stopping"):
        stopped = stack.stop_stack(_home())
    errors.print("stopped" if stopped else "nothing ran")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Show addresses and processes. Exit code 0 also when stopped."""
    found = read_status(_home())
    if as_json:
        typer.echo(json.dumps(found.as_json()))
    else:
        print_status(screen, found)
        if found.state is StackState.STOPPED:
            errors.print("start it with 'cixml up'")


@app.command()
def migrate() -> None:
    """Bring the databases to this version's schema, as the owner (DATABASE_URL)."""
    stack.run_migrations(_home())
    errors.print("migrated")


def run() -> None:
    """Run the console; our own errors become one line and exit code 1."""
    try:
        app()
    except CixmlError as error:
        errors.print(f"[red]cixml:[/red] {error.message}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    run()
