"""The doctor: is the installation whole, and what is to be mended."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from cixml.commands.connection import ApiUrl, AsJson, api_address, errors, home_folder, screen
from cixml.embedded.environment import user_environment
from resources.settings import Settings


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Examples: [bold]cixml doctor[/bold] · [bold]cixml doctor --json | jq .[].remedy[/bold]")(doctor)


def doctor(as_json: AsJson = False, api_url: ApiUrl = None) -> None:
    """Look at every part of the installation and say what to mend. Exit code 1 when one has failed.

    It reads the settings of this shell: run it where the product runs, in production in the container of a worker.
    """
    from cixml.doctor import Verdict, examine
    from cixml.tables import checks

    found = []
    with errors.status("looking") as line:
        for check in examine(
            home_folder(), Settings.load(), api_url=api_address(api_url), environment=user_environment()
        ):
            line.update(f"looked at {check.name}")
            found.append(check)
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in found]))
    else:
        screen.print(checks(found))
    if any(check.verdict is Verdict.FAILED for check in found):
        raise typer.Exit(1)
