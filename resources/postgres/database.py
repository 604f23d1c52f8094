"""A pipeline process's connection: kept open between runs, made anew when it broke. Pool and async side: pool.py.

Also what counts as an outage of Postgres: nobody's fault, over by itself, nothing was written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from pgvector.psycopg import register_vector
from psycopg import Connection
from psycopg.rows import TupleRow

from resources.errors import DatabaseUnavailableError, StorageFullError

CONNECT_TIMEOUT_SECONDS = 5
IDLE_TRANSACTION_SECONDS = 60
CHECK_CLIENT = "-c client_connection_check_interval=2s"
"""A killed client's statement ends, however long it would have taken, and frees its locks. The default is off."""
OUTAGES = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
"""No answer, no room (class 53), a shutdown (57P01 to 57P03), or a server that only reads since a failover (25006)."""
LIMITS = (
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    psycopg.errors.TooManyColumns,
    psycopg.errors.TooManyArguments,
)
"""Class 54, which psycopg files under OperationalError: no outage. The same write fails again, so a try is counted."""
logger = logging.getLogger("cixml.postgres")


def outage(error: psycopg.Error) -> DatabaseUnavailableError:
    """Return the error of ours for one of OUTAGES."""
    if isinstance(error, psycopg.errors.DiskFull):
        return StorageFullError()
    return DatabaseUnavailableError(f"The database does not answer: {type(error).__name__}")


class Database:
    """One connection of the pipeline's login. For one thread at a time.

    `options` are server settings as libpq takes them. Dagster's own database `has_vectors` not.
    """

    def __init__(self, url: str, *, options: str = "", has_vectors: bool = True) -> None:
        self._url = url
        self._options = f"{CHECK_CLIENT} -c idle_in_transaction_session_timeout={IDLE_TRANSACTION_SECONDS}s {options}"
        self._has_vectors = has_vectors
        self._connection: Connection[TupleRow] | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection[TupleRow]]:
        """Open a transaction. Raises DatabaseUnavailableError when Postgres does not answer: nothing was written."""
        try:
            connection = self._ready()
            with connection.transaction():
                yield connection
        except LIMITS:
            raise
        except OUTAGES as error:
            self.close()
            raise outage(error) from error

    @contextmanager
    def session(self) -> Iterator[Connection[TupleRow]]:
        """Hand out the connection outside a transaction (LISTEN, one statement). Raises DatabaseUnavailableError."""
        try:
            yield self._ready()
        except LIMITS:
            raise
        except OUTAGES as error:
            self.close()
            raise outage(error) from error

    def close(self) -> None:
        """Drop the connection; the next use opens one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ready(self) -> Connection[TupleRow]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                options=self._options,
            )
            if self._has_vectors:
                register_vector(self._connection)  # before the first cursor: an earlier one does not know halfvec
        return self._connection
