-- What leaves a graph is counted: its room stays.
WITH gone AS (
    DELETE FROM {relation} WHERE corpus_id = %(corpus_id)s AND chunk_hash = ANY (%(hashes)s::uuid[]) RETURNING tableoid
), noted AS (
    UPDATE cixml.index_versions SET dead_rows = dead_rows + n
    FROM (SELECT count(*) AS n FROM gone WHERE tableoid = to_regclass('cixml.' || quote_ident(%(relation)s || '_graph'))) g
    WHERE corpus_id = %(corpus_id)s AND relation = %(relation)s AND n > 0
)
SELECT count(*) FROM gone
