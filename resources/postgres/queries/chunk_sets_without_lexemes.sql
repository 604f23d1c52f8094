-- Locks the next chunk sets that have no lexemes yet, up to `limit` chunks but one set at least; what is being deleted is passed by.
WITH next AS MATERIALIZED (
    SELECT s.id, sum(s.chunk_count) OVER (ORDER BY s.id) - s.chunk_count AS chunks_before
    FROM (SELECT id, chunk_count FROM cixml.chunk_sets WHERE NOT has_lexemes ORDER BY id LIMIT %(limit)s) s
)
SELECT s.id, s.corpus_id, v.language
FROM next n
JOIN cixml.chunk_sets s ON s.id = n.id
JOIN cixml.document_versions v ON v.id = s.document_version_id
WHERE n.chunks_before < %(limit)s AND NOT s.has_lexemes
ORDER BY s.id
FOR NO KEY UPDATE OF s SKIP LOCKED
