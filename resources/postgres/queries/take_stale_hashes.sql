-- Takes a slice of the candidates, and says which of them no chunk uses that is live or may still become so.
WITH slice AS (
    DELETE FROM cixml.stale_hashes
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM cixml.stale_hashes WHERE corpus_id = %(corpus_id)s LIMIT %(limit)s))
    RETURNING chunk_hash
)
SELECT (SELECT count(*) FROM slice) AS taken, ARRAY(
    SELECT DISTINCT chunk_hash FROM slice s WHERE NOT EXISTS (
        SELECT 1 FROM cixml.chunks c
        JOIN cixml.chunk_sets t ON t.id = c.chunk_set_id
        JOIN cixml.document_versions v ON v.id = t.document_version_id
        JOIN cixml.documents d ON d.id = v.document_id
        WHERE c.corpus_id = %(corpus_id)s AND c.chunk_hash = s.chunk_hash AND d.deleted_at IS NULL
          AND (v.id = d.live_version_id OR v.fetch_seq > d.fetch_seq))
) AS unused
