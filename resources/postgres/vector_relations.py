"""Makes the exact relation of each model: the vectors of every corpus that has no relation of its own."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from resources.postgres.queries import query


def ensure(connection: Connection[TupleRow], *, relation: str, dimension: int) -> None:
    """Create the exact relation of a model where it is missing. Needs the owner's login."""
    connection.execute(query("ensure_vector_relation"), {"relation": relation, "dimension": dimension})
