"""Numbers: what was used, what is allowed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cixml.commands.connection import ApiUrl, AsJson, Key, connected, show, split

_DAY = ["%Y-%m-%d"]


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: [bold]cixml usage --by corpus,day --from 2026-11-01[/bold]")(usage)
    app.command(epilog="Example: [bold]cixml quota[/bold]")(quota)


def usage(
    by: Annotated[
        str, typer.Option(help="Groups: one or several of caller, corpus, model, operation, day.")
    ] = "corpus,operation",
    first: Annotated[datetime | None, typer.Option("--from", formats=_DAY, help="The first day (UTC).")] = None,
    end: Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="The day after the last one.")] = None,
    as_json: AsJson = False,
    key: Key = None,
    api_url: ApiUrl = None,
) -> None:
    """Show what was used: pages, chunks, tokens, searches; with an operator's key by all callers."""
    from cixml import tables

    with connected(key, api_url) as client:
        report = client.usage(
            first=first.date() if first else None, end=end.date() if end else None, group_by=split(by)
        )
        show(report, as_json, lambda: tables.usage(report))


def quota(as_json: AsJson = False, key: Key = None, api_url: ApiUrl = None) -> None:
    """Show each limit and what is used of it."""
    from cixml import tables

    with connected(key, api_url) as client:
        found = client.quota()
        show(found, as_json, lambda: tables.quota(found))
