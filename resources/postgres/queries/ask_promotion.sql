-- A relation of its own for a corpus over the threshold, and back to the shared one under half of it: a corpus about the
-- threshold stays where it is. And a new one for a graph that is to be built anew. One building version per corpus (a unique
-- index); one that waits for quiet may become urgent.
WITH corpus AS MATERIALIZED (
    SELECT id FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
), wanted AS (
    SELECT x.corpus_id, x.model_id, x.chunking, x.chunking_fp, m.relation AS shared, l.chunks * m.dimension AS numbers,
           CASE WHEN x.kind = 'exact' THEN CASE WHEN l.chunks * m.dimension > %(numbers)s THEN 'hnsw' END
                WHEN l.chunks * m.dimension < %(numbers)s / 2 THEN 'exact'
                WHEN %(is_outgrown)s THEN 'hnsw' END AS kind,
           %(is_urgent)s OR (x.kind = 'exact' AND l.chunks * m.dimension > %(urgent_numbers)s) AS is_urgent
    FROM corpus c
    JOIN cixml.index_versions x ON x.corpus_id = c.id AND x.state = 'serving'
    JOIN cixml.models m ON m.id = x.model_id AND m.is_enabled
    JOIN cixml.corpus_levels l ON l.corpus_id = x.corpus_id AND l.chunking_fp = x.chunking_fp
), hurried AS (
    UPDATE cixml.index_versions v SET is_urgent = true
    FROM wanted w WHERE v.corpus_id = w.corpus_id AND v.state = 'building' AND v.fill_from IS NULL AND w.is_urgent AND NOT v.is_urgent
)
INSERT INTO cixml.index_versions (id, corpus_id, model_id, chunking, chunking_fp, relation, kind, state, is_urgent)
SELECT n.id, w.corpus_id, w.model_id, w.chunking, w.chunking_fp,
       CASE w.kind WHEN 'hnsw' THEN 'vectors_' || replace(n.id::text, '-', '') ELSE w.shared END, w.kind, 'building', w.is_urgent
FROM wanted w CROSS JOIN (SELECT uuidv7() AS id) n
WHERE w.kind IS NOT NULL
ON CONFLICT DO NOTHING
