"""How the console shows things: tables and lines, no decisions."""

from __future__ import annotations

from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from cixml.embedded.status import StackStatus


def _without_password(url: str | None) -> str:
    """Return a URL that may stand on a screen."""
    if not url:
        return "-"
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url


def print_addresses(console: Console, status: StackStatus) -> None:
    table = Table(show_header=False, box=None)
    rows = {
        "API": status.api_url,
        "API docs": f"{status.api_url}/docs" if status.api_url else None,
        "Dagster UI": status.dagster_url,
        "metrics": status.metrics_url,
        "Postgres (owner)": status.database_url,
        "Redis": status.redis_url,
        "embedding": status.embedding_url,
    }
    for name, url in rows.items():
        table.add_row(name, _without_password(url))
    console.print(table)


def print_status(console: Console, status: StackStatus) -> None:
    console.print(f"state: {status.state}, supervisor: {status.supervisor_pid or '-'}")
    print_addresses(console, status)
    table = Table("process", "pid", "restarts", box=None)
    for process in status.processes:
        table.add_row(process.name, str(process.pid or "-"), str(process.restarts))
    if status.processes:
        console.print(table)
