-- The version itself, or what replaced it in another relation: the same model over the same chunks. For pages of callers
-- it has to serve: one that waits to serve again gets its pages when it does.
SELECT v.id AS index_version_id, v.chunking, v.chunking_fp, m.id AS model_id, m.name AS model, v.relation, v.state, m.is_enabled
FROM cixml.index_versions w
JOIN cixml.index_versions v ON v.corpus_id = w.corpus_id AND v.model_id = w.model_id AND v.chunking_fp = w.chunking_fp
JOIN cixml.models m ON m.id = v.model_id
WHERE w.id = %(index_version_id)s
  AND CASE WHEN w.state = 'retired' OR (%(serves)s AND w.state <> 'serving') THEN v.state = 'serving' ELSE v.id = w.id END
