-- From a place in the primary key on: what earlier slices removed is still in the index until a vacuum.
WITH slice AS MATERIALIZED (
    SELECT chunk_hash FROM {relation}
    WHERE corpus_id = %(corpus_id)s AND chunk_hash > %(after)s
    ORDER BY chunk_hash LIMIT %(limit)s
), removed AS (
    DELETE FROM {relation} r USING slice s WHERE r.corpus_id = %(corpus_id)s AND r.chunk_hash = s.chunk_hash
)
SELECT chunk_hash FROM slice ORDER BY chunk_hash DESC LIMIT 1
