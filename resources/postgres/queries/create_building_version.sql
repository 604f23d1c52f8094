WITH version AS (
    INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state)
    SELECT %(corpus_id)s, m.id, %(chunking)s, %(chunking_fp)s, m.relation, 'exact', 'building'
    FROM cixml.models m WHERE m.name = %(model)s AND m.is_enabled
    RETURNING *
)
SELECT v.id AS index_version_id, v.chunking, v.chunking_fp, m.id AS model_id, m.name AS model, v.relation, v.state, m.is_enabled
FROM version v JOIN cixml.models m ON m.id = v.model_id
