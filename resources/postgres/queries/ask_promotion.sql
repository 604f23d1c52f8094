-- One building version per corpus (a unique index).
WITH corpus AS MATERIALIZED (
    SELECT id FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
)
INSERT INTO cixml.index_versions (id, corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
SELECT n.id, x.corpus_id, x.model_id, x.chunking, x.chunking_fp, 'vectors_' || replace(n.id::text, '-', ''), 'hnsw', 'building'
FROM corpus c
JOIN cixml.index_versions x ON x.corpus_id = c.id
JOIN cixml.models m ON m.id = x.model_id AND m.is_enabled
JOIN cixml.corpus_levels l ON l.corpus_id = x.corpus_id AND l.chunking_fp = x.chunking_fp
CROSS JOIN (SELECT uuidv7() AS id) n
WHERE x.state = 'serving' AND x.kind = 'exact'
  AND l.chunks * m.dimension > %(numbers)s
ON CONFLICT DO NOTHING
