-- Of a corpus that the caller may see: one version, or all.
SELECT v.id, m.name AS model, m.is_enabled, v.kind, CASE WHEN v.state = 'retired' AND v.error IS NOT NULL THEN 'failed' ELSE v.state END AS state,
       v.chunking, v.fill_from, v.activate, v.activate_at, v.drop_after, v.error, v.comparison, v.filling_since,
       v.documents_total, v.documents_cut, v.documents_done, v.chunks_total, v.chunks_done, v.chunks_reused, v.created_at, v.state_changed_at, v.traceparent,
       extract(epoch FROM now() - v.filling_since)::float8 AS filling_seconds
FROM cixml.index_versions v JOIN cixml.models m ON m.id = v.model_id
WHERE v.corpus_id = %(corpus_id)s AND (%(index_version_id)s::uuid IS NULL OR v.id = %(index_version_id)s)
ORDER BY v.id
