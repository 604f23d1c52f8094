"""Loads the SQL files of `queries/`: one statement each, named after the function that runs it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import LiteralString, cast

_FOLDER = Path(__file__).parent / "queries"


@cache
def query(name: str) -> LiteralString:
    """Return the statement of `queries/<name>.sql`. Read once per process; it ships with the code, so it is literal."""
    return cast(LiteralString, (_FOLDER / f"{name}.sql").read_text())
