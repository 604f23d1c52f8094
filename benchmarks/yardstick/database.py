"""One connection a worker process, made at its first use."""

from __future__ import annotations

from functools import cache

import psycopg
from pgvector.psycopg import register_vector
from psycopg.rows import TupleRow

from benchmarks.yardstick.configuration import configuration


@cache
def connection() -> psycopg.Connection[TupleRow]:
    """Return this process's connection; a stage's work is one transaction on it."""
    made = psycopg.connect(configuration().database_url, autocommit=True)
    register_vector(made)
    return made
