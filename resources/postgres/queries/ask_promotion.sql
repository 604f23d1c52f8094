-- A relation of its own for a corpus over the threshold, and back to the shared one under half of it: a corpus about the
-- threshold stays where it is. And a new one for a graph that has grown: rows that left it leave their room behind.
-- One building version per corpus (a unique index).
WITH corpus AS MATERIALIZED (
    SELECT id FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
)
INSERT INTO cixml.index_versions (id, corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
SELECT n.id, x.corpus_id, x.model_id, x.chunking, x.chunking_fp,
       CASE w.kind WHEN 'hnsw' THEN 'vectors_' || replace(n.id::text, '-', '') ELSE m.relation END, w.kind, 'building'
FROM corpus c
JOIN cixml.index_versions x ON x.corpus_id = c.id
JOIN cixml.models m ON m.id = x.model_id AND m.is_enabled
JOIN cixml.corpus_levels l ON l.corpus_id = x.corpus_id AND l.chunking_fp = x.chunking_fp
CROSS JOIN (SELECT uuidv7() AS id) n
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN x.kind = 'exact' THEN CASE WHEN l.chunks * m.dimension > %(numbers)s THEN 'hnsw' END
        WHEN l.chunks * m.dimension < %(numbers)s / 2 THEN 'exact'
        WHEN pg_total_relation_size(to_regclass('cixml.' || quote_ident(x.relation)))
             > %(growth)s * l.chunks * x.built_bytes_a_row + %(slack_bytes)s THEN 'hnsw' END AS kind
) w
WHERE x.state = 'serving' AND w.kind IS NOT NULL
ON CONFLICT DO NOTHING
