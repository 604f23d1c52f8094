"""The console script `cixml`: its commands. Those that call the API are in `commands`, the looks in `output`."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from typing import Annotated

import typer
from rich.markup import escape

from cixml import keys
from cixml.commands import backups, corpora, doctor, documents, indexes, jobs, models, numbers, search, traces
from cixml.commands.connection import AsJson, connected, errors, home_folder, screen
from cixml.embedded import stack
from cixml.embedded.environment import user_environment
from cixml.embedded.migration import run_migrations
from cixml.embedded.processes import NAMES
from cixml.embedded.state import Home, load_kept
from cixml.embedded.status import StackState, read_status
from cixml.output import print_addresses, print_status
from resources.errors import CixmlError
from resources.membership import caller_id_of
from resources.settings import Settings
from resources.types import CallerType

app = typer.Typer(
    name="cixml",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="URLs in, searchable corpora out.",
    epilog="Examples: [bold]cixml up --detach[/bold] · [bold]cixml submit docs https://example.com/[/bold] · "
    '[bold]cixml search docs "how do I begin"[/bold]',
)
keys_app = typer.Typer(no_args_is_help=True, help="API keys of the embedded stack.")
app.add_typer(keys_app, name="keys")
for commands in (jobs, corpora, search, indexes, documents, numbers, models, backups, doctor, traces):
    commands.add_to(app)


@app.command(
    epilog="Examples: [bold]cixml up[/bold] · [bold]cixml up --detach[/bold] · "
    "[bold]CIXML_HOME=/srv/cixml DATABASE_URL=postgresql://... cixml up[/bold]"
)
def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return once it takes jobs.")] = False,
    sample: Annotated[bool, typer.Option("--sample", help="Index the bundled sample and search it.")] = False,
    only: Annotated[str, typer.Option(help="Start only these, comma separated (tests, development).")] = "",
) -> None:
    """Start the embedded stack; without --detach stay until Ctrl-C, then stop it."""
    from cixml.sample.server import serving

    home = home_folder()
    started = _start(home, only=only, sample=sample)
    if not started:
        errors.print("it already runs")
    with serving(load_kept(home).ports["sample"]) if sample else nullcontext(0) as port:
        if sample and not _run_sample(home, port):
            raise typer.Exit(1)
        print_addresses(screen, read_status(home))
        if not detach and (started or sample):
            errors.print("Ctrl-C stops it" if started else "Ctrl-C ends the sample's site; the stack runs on")
            stack.stay(home, stops_at_end=started)


def _start(home: Home, *, only: str, sample: bool) -> bool:
    """Start the stack, naming on the last line what it waits for. Returns False when it already ran."""
    from cixml.sample.run import allow_sample

    names = [name.strip() for name in only.split(",") if name.strip()] or list(NAMES)
    if unknown := set(names) - set(NAMES):
        raise typer.BadParameter(f"no such process: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    with errors.status("starting") as line:
        return stack.start_stack(
            home,
            only=names,
            extra=(lambda kept: allow_sample(user_environment(), kept.ports["sample"])) if sample else None,
            say=lambda name: line.update(f"waiting for {name}"),
        )


def _run_sample(home: Home, port: int) -> bool:
    from cixml.sample.run import check_allowed, index_sample

    check_allowed(home, port)
    with connected(None, None) as client:
        return index_sample(client, port, screen)


@app.command(epilog="Example: [bold]cixml down[/bold]")
def down() -> None:
    """Stop the stack; its data stay."""
    with errors.status("stopping"):
        stopped = stack.stop_stack(home_folder())
    errors.print("stopped" if stopped else "nothing ran")


@app.command(epilog="Example: [bold]cixml status --json[/bold]")
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Show addresses and processes. The exit code is 0 also when it is stopped."""
    found = read_status(home_folder())
    if as_json:
        typer.echo(json.dumps(found.as_json()))
        return
    print_status(screen, found)
    if found.state is StackState.STOPPED:
        errors.print("start it with 'cixml up'")


@app.command(epilog="Example: [bold]DATABASE_URL=postgresql://owner:...@db/cixml cixml migrate[/bold]")
def migrate() -> None:
    """Bring the databases to this version's schema, as the owner (DATABASE_URL)."""
    errors.print(run_migrations(home_folder()), highlight=False)


@keys_app.command(
    "create", epilog="Example: [bold]export CIXML_API_KEY=$(cixml keys create --name ci | tail -1)[/bold]"
)
def create_key(
    name: Annotated[str, typer.Option("--name", help="Who uses it; unique.")],
    caller_type: Annotated[CallerType, typer.Option("--type", help="What uses it.")] = CallerType.SERVICE,
    operator: Annotated[bool, typer.Option("--operator", help="It also reads the audit record of everybody.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an API key, valid at once, and print it: it is stored nowhere. Others grant corpora to its caller id."""
    settings = Settings.load()
    path, pepper = keys.key_store(Home(settings.home), settings)
    key = keys.create_key(path, pepper, name=name, caller_type=caller_type, is_operator=operator)
    caller = caller_id_of(key, pepper)
    if as_json:
        typer.echo(json.dumps({"name": name, "caller_id": caller, "key": key}))
        return
    errors.print(
        f"a key for {name}, caller id {caller}; only its HMAC is kept, in {path}", highlight=False, soft_wrap=True
    )
    typer.echo(key)


def run() -> None:
    """Run the console; our own errors become one line and exit code 1; 2 is a wrong use."""
    try:
        app()
    except (CixmlError, TimeoutError) as error:
        errors.print(f"[red]cixml:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
