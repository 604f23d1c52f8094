"""Backup and restore. They need no API: Postgres alone, as its owner."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cixml.commands.connection import errors, home_folder

Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Tables that are worked on at once.")]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog="Examples: [bold]cixml backup /srv/backups/$(date +%F)[/bold] · "
        "[bold]docker compose run --rm console backup /backups/monday[/bold]"
    )(backup)
    app.command(
        epilog="Examples: [bold]CIXML_HOME=/srv/new cixml restore /srv/backups/2026-11-24[/bold] · "
        "[bold]docker compose run --rm console restore /backups/monday[/bold]"
    )(restore)


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder: it is made, and private.")], jobs: Jobs = 2
) -> None:
    """Back up both databases and the keys, while everything runs. The folder holds callers' texts and secrets.

    As the owner: in production DATABASE_URL names it.
    """
    from cixml.backup.make import make_backup

    began = time.monotonic()
    with errors.status("backing up") as line:
        made = make_backup(home_folder(), folder, jobs=jobs, say=lambda step: line.update(f"backing up: {step}"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    errors.print(
        f"backed up {made.rows['corpora']} corpora, {made.rows['documents']} documents and {made.rows['jobs']} jobs to "
        f"{folder}: {size / 1e6:.1f} MB in {time.monotonic() - began:.0f} s",
        highlight=False,
        soft_wrap=True,
    )


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that 'cixml backup' made.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Lose what is there now.")] = False,
    jobs: Jobs = 2,
) -> None:
    """Bring a backup back and migrate it to this version. Only Postgres may run.

    A backup of an older version is upgraded. Jobs that were open go on at the next start.
    """
    from cixml.backup.restore import restore_backup

    began = time.monotonic()
    with errors.status("restoring") as line:
        left = restore_backup(
            home_folder(),
            folder,
            overwrite=overwrite,
            jobs=jobs,
            say=lambda step: line.update(f"restoring: {step}"),
        )
    errors.print(
        f"restored {folder} in {time.monotonic() - began:.0f} s; now start it", highlight=False, soft_wrap=True
    )
    for thing in left:
        errors.print(f"[yellow]to do:[/yellow] {thing}", highlight=False, soft_wrap=True)
