-- Numbers for the asset checks of one corpus: shares of what is live, ages in seconds, norms of a sample of vectors.
WITH live AS (
    SELECT c.chunk_hash, c.token_count FROM cixml.documents d
    JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
    JOIN cixml.chunks c ON c.chunk_set_id = s.id
    WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
), norms AS (
    SELECT l2_norm(embedding) AS norm FROM {relation} WHERE corpus_id = %(corpus_id)s LIMIT 100
)
SELECT
    (SELECT count(*) FROM live) AS chunks,
    coalesce((SELECT 1 - count(DISTINCT chunk_hash)::float8 / nullif(count(*), 0) FROM live), 0) AS duplicate_ratio,
    coalesce((SELECT avg((token_count < 8)::int)::float8 FROM live), 0) AS tiny_ratio,
    coalesce((SELECT max(abs(norm - 1)) FROM norms), 0)::float8 AS norm_error
