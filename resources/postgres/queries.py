"""Loads the SQL files of `queries/`: one statement each, named after what it does."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import LiteralString

from psycopg import sql

_FOLDER = Path(__file__).parent / "queries"


@cache
def query(name: str) -> LiteralString:
    """Return the statement of `queries/<name>.sql`. Read once per process; it ships with the code, so it is literal."""
    text: LiteralString = (_FOLDER / f"{name}.sql").read_text()  # pyright: ignore[reportAssignmentType]
    return text


@cache
def query_on(name: str, relation: str) -> sql.Composed:
    """Return the statement with `{relation}` as the vector relation of a model: the one identifier that varies."""
    return sql.SQL(query(name)).format(relation=sql.Identifier("cixml", relation))
