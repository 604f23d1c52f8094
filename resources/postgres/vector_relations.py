"""Makes the relations that hold vectors: one exact table per model for all small corpora."""

from __future__ import annotations

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from resources.postgres.roles import API_GROUP, PIPELINE_GROUP


def ensure(connection: Connection[TupleRow], *, relation: str, dimension: int) -> None:
    """Create the exact relation of a model where it is missing.

    halfvec loses no recall and is a third of float32 at 1,024 dimensions; STORAGE PLAIN keeps it in the row, since
    out of line each distance costs a TOAST fetch (9 to 10 times the page reads).
    """
    exists = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"cixml.{relation}"]).fetchone()
    if exists and exists[0]:
        return
    names = {
        "table": sql.Identifier("cixml", relation),
        "dimension": sql.Literal(dimension),
        "api": sql.Identifier(API_GROUP),
        "pipeline": sql.Identifier(PIPELINE_GROUP),
    }
    for statement in _STATEMENTS:
        connection.execute(sql.SQL(statement).format(**names))


_STATEMENTS = (
    "CREATE TABLE {table} (corpus_id uuid NOT NULL, chunk_hash uuid NOT NULL, embedding halfvec({dimension}) NOT NULL, "
    "PRIMARY KEY (corpus_id, chunk_hash)) WITH (autovacuum_vacuum_cost_delay = 0)",
    "ALTER TABLE {table} ALTER embedding SET STORAGE PLAIN",
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE POLICY owner_sees_all ON {table} TO CURRENT_USER USING (true)",
    "CREATE POLICY pipeline_sees_all ON {table} TO {pipeline} USING (true)",
    "CREATE POLICY rows_of_visible_corpora ON {table} TO {api} "
    "USING (corpus_id = ANY ((SELECT cixml.visible_corpora())::uuid[]))",
    "GRANT SELECT ON {table} TO {api}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {pipeline}",
)
