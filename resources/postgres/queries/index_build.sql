SELECT v.id AS index_version_id, v.chunking, v.chunking_fp, m.id AS model_id, m.name AS model, v.relation, v.state,
       m.is_enabled, v.kind, v.fill_from, v.activate, v.activate_at IS NOT NULL AS is_wanted, v.is_forced, v.traceparent
FROM cixml.index_versions v JOIN cixml.models m ON m.id = v.model_id
WHERE v.id = %(index_version_id)s
