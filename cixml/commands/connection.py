"""What every command that calls the API shares: its options, its client, its output as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType

from cixml import keys
from cixml.embedded.state import Home
from cixml.embedded.status import read_status
from resources.settings import Settings

if TYPE_CHECKING:
    from cixml.client import Client

Entry = TypeVar("Entry", bound=BaseModel)
screen = Console(width=None if sys.stdout.isatty() else 200)
"""Wide where no terminal is: an id that is folded can't be found by grep."""
errors = Console(stderr=True)

Key = Annotated[str | None, typer.Option("--key", envvar="CIXML_API_KEY", help="API key; default: this machine's own.")]
ApiUrl = Annotated[
    str | None, typer.Option("--api-url", envvar="CIXML_URL", help="Address of the API; default: the embedded stack's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else: an object, or a list of them.")]
Most = Annotated[int, typer.Option("--most", min=1, help="Show so many at most.")]


def home_folder() -> Home:
    return Home(Settings.load().home)


def api_address(given: str | None) -> str:
    """Return the address of the API that is meant: the one given, the stack's, or the settings'."""
    api = Settings.load().api
    return given or read_status(home_folder()).api_url or f"http://{api.host}:{api.port}"


@contextmanager
def connected(key: str | None, api_url: str | None) -> Iterator[Client]:
    """Open a client of the API that is meant: the one given, the stack's, or the settings'."""
    from cixml.client import Client

    settings, folder = Settings.load(), home_folder()
    with Client(api_address(api_url), key or keys.local_key(folder, settings), retry_seconds=15.0) as client:
        yield client


def show(found: BaseModel, as_json: bool, render: Callable[[], RenderableType]) -> None:
    """Print one thing."""
    if as_json:
        typer.echo(found.model_dump_json(by_alias=True))
    else:
        screen.print(render())


def show_all(found: Iterable[Entry], as_json: bool, render: Callable[[Sequence[Entry]], RenderableType]) -> None:
    """Print a list: a table, or a JSON array."""
    entries = list(found)
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json", by_alias=True) for entry in entries]))
    else:
        screen.print(render(entries))


def split(values: str | None) -> list[str]:
    """Return the values of an option that takes several, separated by commas."""
    return [value.strip() for value in (values or "").split(",") if value.strip()]
