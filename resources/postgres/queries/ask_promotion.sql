-- A relation of its own for a corpus over the threshold, and back to the shared one under half of it: a corpus about the
-- threshold stays where it is. One building version per corpus (a unique index).
WITH corpus AS MATERIALIZED (
    SELECT id FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
)
INSERT INTO cixml.index_versions (id, corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
SELECT n.id, x.corpus_id, x.model_id, x.chunking, x.chunking_fp,
       CASE x.kind WHEN 'exact' THEN 'vectors_' || replace(n.id::text, '-', '') ELSE m.relation END,
       CASE x.kind WHEN 'exact' THEN 'hnsw' ELSE 'exact' END, 'building'
FROM corpus c
JOIN cixml.index_versions x ON x.corpus_id = c.id
JOIN cixml.models m ON m.id = x.model_id AND m.is_enabled
JOIN cixml.corpus_levels l ON l.corpus_id = x.corpus_id AND l.chunking_fp = x.chunking_fp
CROSS JOIN (SELECT uuidv7() AS id) n
WHERE x.state = 'serving'
  AND CASE x.kind WHEN 'exact' THEN l.chunks * m.dimension > %(numbers)s ELSE l.chunks * m.dimension < %(numbers)s / 2 END
ON CONFLICT DO NOTHING
