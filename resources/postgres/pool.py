"""The API's connections: the pool, reading as a caller in one round trip, writing as a caller in one transaction.

What psycopg raises becomes an error of ours here and nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import LiteralString, TypeVar
from uuid import UUID

import psycopg
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection, sql
from psycopg.rows import AsyncRowFactory, TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed

from resources.errors import DatabaseUnavailableError, StorageFullError
from resources.postgres.database import CHECK_CLIENT, OUTAGES
from resources.postgres.queries import query
from resources.settings import Settings

WAIT_SECONDS = 2.0
"""Longest wait for a free connection: a caller who is told to come back is better off than one who hangs."""
STATEMENT_SECONDS = 15
RECONNECT_SECONDS = 5.0
"""After this long the pool stops backing off; the next request (or readiness probe) starts a fresh attempt."""

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]
Row = TypeVar("Row")


def create_pool(settings: Settings) -> Pool:
    """Return the pool, closed. `open(wait=False)` it: it connects when Postgres is there, and again after a restart."""
    url = settings.require(settings.api.database_url, "CIXML_API__DATABASE_URL")
    limits = f"{CHECK_CLIENT} -c timezone=UTC -c statement_timeout={STATEMENT_SECONDS}s"
    limits += f" -c idle_in_transaction_session_timeout={STATEMENT_SECONDS}s"
    return AsyncConnectionPool(
        url,
        open=False,
        min_size=settings.api.pool_size,
        max_size=settings.api.pool_size,
        timeout=WAIT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        kwargs={"autocommit": True, "prepare_threshold": 0, "options": limits, "application_name": "cixml api"},
        configure=register_vector_async,
        name="api",
    )


def create_dagster_pool(settings: Settings) -> Pool:
    """Return a pool, closed, of at most one connection to Dagster's own database: /metrics reads its state there."""
    return AsyncConnectionPool(
        settings.dagster_libpq_url(),
        open=False,
        min_size=0,
        max_size=1,
        timeout=WAIT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        kwargs={"autocommit": True, "options": f"{CHECK_CLIENT} -c statement_timeout={STATEMENT_SECONDS}s"},
        name="dagster",
    )


@dataclass(frozen=True, slots=True)
class Planning:
    """A statement that sets how the one after it is planned, up to the end of its transaction."""

    statement: LiteralString
    parameters: Mapping[str, object] = field(default_factory=dict)


def one_plan() -> Planning:
    """Return the planning of a statement whose best plan is the same whatever its values: once a connection."""
    return Planning(query("set_generic_plan"))


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """Lend a connection in autocommit. Raises DatabaseUnavailableError for whatever is not the caller's fault."""
    try:
        async with pool.connection() as connection:
            try:
                yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                await connection.close()  # it leads to what is a standby now: the pool connects anew
                raise
    except PoolClosed as error:
        raise DatabaseUnavailableError from error
    except OUTAGES as error:
        await _drop_broken(pool)
        kind = StorageFullError if isinstance(error, psycopg.errors.DiskFull) else DatabaseUnavailableError
        raise kind from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName) as error:
        raise DatabaseUnavailableError("the database is not migrated: run 'cixml migrate'") from error


@asynccontextmanager
async def caller_transaction(pool: Pool, caller_id: str) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """Open a transaction in which row-level security shows this caller's rows; commit at the end, or roll back.

    Statements are pipelined: nothing waits for the server until a result is fetched.
    """
    async with connected(pool) as connection, connection.pipeline(), connection.transaction():
        await connection.execute(query("begin_writing"), [caller_id])
        yield connection


async def fetch_as(
    connection: AsyncConnection[TupleRow],
    caller_id: str,
    statement: LiteralString | sql.Composed,
    parameters: Mapping[str, object],
    *,
    rows: AsyncRowFactory[Row],
    corpus_id: UUID | None = None,
    planning: Planning | None = None,
) -> list[Row]:
    """Run one reading statement as the caller, in one round trip.

    With `corpus_id` policies show that corpus alone, if the caller may see it: they are cheaper then. Up to the
    pipeline's sync the statements are one transaction, so settings are local to it.
    """
    async with connection.pipeline():
        await connection.execute(query("set_caller"), [caller_id, corpus_id.hex if corpus_id else ""])
        if planning is not None:
            await connection.execute(planning.statement, planning.parameters)
        cursor = connection.cursor(row_factory=rows)
        await cursor.execute(statement, parameters)
    return await cursor.fetchall()


async def _drop_broken(pool: Pool) -> None:
    """Replace what a restart of Postgres broke, so that one request fails and not one per pooled connection."""
    if not pool.closed:
        await pool.check()
