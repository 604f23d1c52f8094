-- No row: the corpus was deleted, or the model is not enabled.
WITH corpus AS MATERIALIZED (
    SELECT id FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
), version AS (
    INSERT INTO cixml.index_versions (id, corpus_id, model_id, chunking, chunking_fp, relation, kind, state, fill_from)
    SELECT n.id, c.id, m.id, %(chunking)s, %(chunking_fp)s,
           CASE WHEN k.is_large THEN 'vectors_' || replace(n.id::text, '-', '') ELSE m.relation END,
           CASE WHEN k.is_large THEN 'hnsw' ELSE 'exact' END, 'building', 'chunks'
    FROM corpus c
    JOIN cixml.models m ON m.name = %(model)s AND m.is_enabled
    LEFT JOIN cixml.corpus_levels l ON l.corpus_id = c.id AND l.chunking_fp = %(chunking_fp)s
    CROSS JOIN LATERAL (SELECT coalesce(l.chunks * m.dimension > %(numbers)s, false) AS is_large) k
    CROSS JOIN (SELECT uuidv7() AS id) n
    RETURNING *
)
SELECT v.id AS index_version_id, v.chunking, v.chunking_fp, m.id AS model_id, m.name AS model, v.relation, v.state, m.is_enabled
FROM version v JOIN cixml.models m ON m.id = v.model_id
