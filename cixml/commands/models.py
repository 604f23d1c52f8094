"""Models: list those of the models file, enable and disable them. For the operator: no key, no API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from cixml.commands.connection import AsJson, errors, home_folder, screen
from cixml.embedded import stack
from resources.embedding.registry import Model, Registry, load_registry, tokenizer_digest
from resources.errors import ConfigurationError, DatabaseUnavailableError
from resources.settings import Settings

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

T = TypeVar("T")
models_app = typer.Typer(
    no_args_is_help=True,
    help="Embedding models: list, enable, disable them.",
    epilog="Examples: [bold]cixml models list[/bold] · [bold]cixml models enable bge-m3[/bold]",
)
ModelId = Annotated[str, typer.Argument(help="Id of a model of the models file.", metavar="MODEL")]
BY_HAND = (
    "no stack runs here: run 'cixml migrate', then start again the workers, Dagster's code server, web server and "
    "daemon, and the API, each with this models file"
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(models_app, name="models")


@models_app.command("list", epilog="Examples: [bold]cixml models list[/bold] · [bold]cixml models list --json[/bold]")
def list_models(as_json: AsJson = False) -> None:
    """List the models of the models file, and what they serve."""
    settings = Settings.load()
    registry = load_registry(settings.embedding.models_file)
    served = _served(settings)
    entries = [_entry(model, settings, served) for model in registry.models]
    if as_json:
        typer.echo(json.dumps(entries))
        return
    screen.print(_table(entries))
    if served is None:
        errors.print("the database does not answer: how many corpora they serve is not known")


@models_app.command(epilog="Example: [bold]cixml models enable bge-m3[/bold]")
def enable(model_id: ModelId, as_json: AsJson = False) -> None:
    """Enable a model once its tokenizer is there and its server serves it; the stack of this machine takes it up."""
    from cixml.model_checks import check_server, check_tokenizer
    from cixml.models_file import switch

    settings = Settings.load()
    model = load_registry(settings.embedding.models_file).get(model_id)
    with errors.status("asking its server"):
        digest = check_tokenizer(model)
        answer = asyncio.run(check_server(settings, model))
    if not answer.counts_agree:
        errors.print(
            f"[yellow]take care:[/yellow] the server counted {answer.tokens} tokens of a probe, "
            f"{model.tokenizer_path.name} {answer.expected_tokens}: if it is not this model's tokenizer, chunks may be "
            "too long for it",
            soft_wrap=True,
        )
    changed = switch(settings.embedding.models_file, model_id, enabled=True, tokenizer_sha256=digest)
    _take_up(load_registry(settings.embedding.models_file), model_id, changed, as_json)


@models_app.command(epilog="Example: [bold]cixml models disable bge-m3[/bold]")
def disable(model_id: ModelId, as_json: AsJson = False) -> None:
    """Disable a model that serves nothing and is to serve nothing; its vectors stay."""
    from cixml.models_file import switch
    from resources.postgres.models import waiting_versions

    settings = Settings.load()
    path = settings.embedding.models_file
    model = load_registry(path).get(model_id)
    if model_id == settings.embedding_model:
        raise ConfigurationError(f"{model_id} is the model of new corpora: set EMBEDDING_MODEL to another one first")
    served = _served(settings)
    if served is None:
        raise ConfigurationError("the database does not answer, so nobody knows what the model serves: start it first")
    if corpora := served.get(model.fingerprint, 0):
        raise ConfigurationError(
            f"{model_id} serves {corpora} {'corpus' if corpora == 1 else 'corpora'}, which could not be searched any "
            "more: embed them again with another model first"
        )
    if waiting := _asked(settings, lambda connection: waiting_versions(connection, fingerprint=model.fingerprint)):
        raise ConfigurationError(
            f"{waiting} index {'version' if waiting == 1 else 'versions'} by {model_id} could not be filled or serve "
            "any more: let their owners drop them first (cixml indexes, cixml drop-index)"
        )
    _take_up(load_registry(path), model_id, switch(path, model_id, enabled=False), as_json)


def _take_up(registry: Registry, model_id: str, changed: bool, as_json: bool) -> None:
    """Let the running stack read the file anew, or say what the operator has to start again."""
    with errors.status("starting again") as line:
        restarted = stack.restart_application(home_folder(), say=lambda name: line.update(f"starting again: {name}"))
    model = load_registry(registry.path).get(model_id)
    if as_json:
        found = {"id": model_id, "enabled": model.enabled, "changed": changed, "restarted": restarted}
        typer.echo(json.dumps(found | {"fingerprint": model.fingerprint}))
        return
    state = "enabled" if model.enabled else "disabled"
    errors.print(f"{model_id} is {state} in {registry.path}", highlight=False, soft_wrap=True)
    errors.print("the stack runs with it" if restarted else BY_HAND, highlight=False, soft_wrap=True)


def _served(settings: Settings) -> dict[str, int] | None:
    """Return how many corpora each model serves, by fingerprint; None when the database does not say."""
    from resources.postgres.models import corpora_served

    return _asked(settings, corpora_served)


def _asked(settings: Settings, ask: Callable[[Connection[TupleRow]], T]) -> T | None:
    """Return what the database answers; None when it does not."""
    from resources.postgres.database import Database  # a quarter of the start of every command

    if settings.pipeline.database_url is None:
        return None
    database = Database(settings.pipeline.database_url.get_secret_value())
    try:
        with database.transaction() as connection:
            return ask(connection)
    except DatabaseUnavailableError:
        return None
    finally:
        database.close()


def _entry(model: Model, settings: Settings, served: dict[str, int] | None) -> dict[str, str | int | bool | None]:
    return {
        "id": model.id,
        "enabled": model.enabled,
        "default": model.id == settings.embedding_model,
        "corpora": None if served is None else served.get(model.fingerprint, 0),
        "dimension": model.dimension,
        "max_tokens": model.max_tokens,
        "chunk_max_tokens": model.chunk_max_tokens,
        "query_prefix": model.query_prefix,
        "document_prefix": model.document_prefix,
        "revision": model.revision,
        "fingerprint": model.fingerprint if model.is_known_whole else None,
        "server": model.base_url or settings.embedding_api_base_url,
        "tokenizer": str(model.tokenizer_path),
        "tokenizer_state": _tokenizer_state(model),
    }


def _tokenizer_state(model: Model) -> str:
    try:
        found = tokenizer_digest(model.tokenizer_path)
    except OSError:
        return "missing"
    if not model.is_known_whole:
        return "new"
    return "ok" if found == model.tokenizer_sha256 else "another file"


def _table(entries: list[dict[str, str | int | bool | None]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("model", "", "corpora", "dimensions", "window", "tokenizer", "server"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        state = "[green]enabled[/green]" if entry["enabled"] else "[dim]off[/dim]"
        table.add_row(
            str(entry["id"]),
            state + (", default" if entry["default"] else ""),
            "-" if entry["corpora"] is None else f"{entry['corpora']:,}",
            f"{entry['dimension']:,}",
            f"{entry['max_tokens']:,}",
            str(entry["tokenizer_state"]),
            str(entry["server"] or "-"),
        )
    return table
