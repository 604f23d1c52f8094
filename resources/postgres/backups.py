"""What a backup asks of a database, and what a restore does to one beside pg_restore. As the database's owner.

The data themselves are pg_dump's and pg_restore's: `cixml.backup` runs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel, sql
from psycopg.rows import TupleRow, class_row
from pydantic import BaseModel

from resources.errors import ConfigurationError, DatabaseUnavailableError
from resources.postgres.queries import query

SCHEMA = "cixml"
DAGSTER_SCHEMA = "public"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """`server_version` as Postgres counts it: 180006 is 18.6. `pgvector_version` is null in Dagster's own database."""

    owner: str
    server_version: int
    pgvector_version: str | None


class Migration(BaseModel):
    """A migration that is applied, and the checksum of its file."""

    name: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One moment of a database: `name` is what another session imports to see the same."""

    name: str
    connection: Connection[TupleRow]


@contextmanager
def connected(url: str) -> Iterator[Connection[TupleRow]]:
    """Open a connection in autocommit. Raises DatabaseUnavailableError, or ConfigurationError for what is refused."""
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(f"The database: {error}") from error
    except psycopg.Error as error:
        raise ConfigurationError(f"the database refuses: {error}") from error


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """Hold one moment of a database still, to be read by several sessions."""
    with connected(url) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            name = str(_first(connection, sql.SQL("SELECT pg_export_snapshot()")))
            yield Snapshot(name=name, connection=connection)


def look(connection: Connection[TupleRow]) -> Server:
    with connection.cursor(row_factory=class_row(Server)) as cursor:
        found = cursor.execute(query("server_facts")).fetchone()
    assert found is not None  # a statement without FROM has one row
    return found


def migrations(connection: Connection[TupleRow]) -> list[Migration]:
    """Return what is applied. Raises ConfigurationError where there is no schema."""
    try:
        with connection.cursor(row_factory=class_row(Migration)) as cursor:
            return cursor.execute(query("migrations_with_checksums")).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise ConfigurationError("the database has no schema of cixml: there is nothing to back up") from error


def count_rows(connection: Connection[TupleRow], schema: str) -> dict[str, int]:
    """Count the rows of every table of a schema. Reads all of them."""
    tables = [str(name) for (name,) in connection.execute(query("table_names"), {"schema": schema}).fetchall()]
    count = sql.SQL("SELECT count(*) FROM {}")
    return {name: int(_first(connection, count.format(sql.Identifier(schema, name)))) for name in tables}


def is_empty(connection: Connection[TupleRow]) -> bool:
    """Say whether nobody has used the product here: there may be a schema, but no caller."""
    if _first(connection, sql.SQL("SELECT to_regclass('cixml.callers')")) is None:
        return True
    return not _first(connection, sql.SQL("SELECT EXISTS (SELECT FROM cixml.callers)"))


def others(connection: Connection[TupleRow], databases: Sequence[str]) -> list[str]:
    """Name the sessions of others in these databases."""
    rows = [connection.execute(query("sessions_of_others"), {"database": name}).fetchall() for name in databases]
    return sorted({str(name) for found in rows for (name,) in found})


def clear(connection: Connection[TupleRow], *, dagster_database: str) -> None:
    """Drop the schema, and Dagster's database: both come back from the backup."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(dagster_database)))


def record_migrations(connection: Connection[TupleRow], applied: Sequence[Migration]) -> None:
    """Write down what the restored schema is made of: as the last step, so that half of a restore counts as none."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO cixml.schema_migrations (name, checksum) VALUES (%s, %s)",
            [(each.name, each.checksum) for each in applied],
        )


def analyse(connection: Connection[TupleRow]) -> None:
    """Gather the planner's statistics: a restored table has none."""
    connection.execute("ANALYZE")


def differences(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Name the tables that have not the rows they should have."""
    names = sorted(expected.keys() | found.keys())
    return [
        f"{name}: {found.get(name, 0)} rows instead of {expected.get(name, 0)}"
        for name in names
        if expected.get(name) != found.get(name)
    ]


def _first(connection: Connection[TupleRow], statement: sql.SQL | sql.Composed) -> Any:
    row = connection.execute(statement).fetchone()
    assert row is not None  # each of them has one row
    return row[0]
