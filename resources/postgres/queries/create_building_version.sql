-- No row: the corpus was deleted, or the model is not enabled.
WITH corpus AS MATERIALIZED (
    SELECT id FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
), version AS (
    INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
    SELECT c.id, m.id, %(chunking)s, %(chunking_fp)s, m.relation, 'exact', 'building'
    FROM corpus c, cixml.models m WHERE m.name = %(model)s AND m.is_enabled
    RETURNING *
)
SELECT v.id AS index_version_id, v.chunking, v.chunking_fp, m.id AS model_id, m.name AS model, v.relation, v.state, m.is_enabled
FROM version v JOIN cixml.models m ON m.id = v.model_id
