-- Index versions to fill, or to let serve, that no run works on.
SELECT v.id AS index_version_id, c.partition_key, m.name AS model, v.traceparent
FROM cixml.index_versions v
JOIN cixml.corpora c ON c.id = v.corpus_id AND c.deleted_at IS NULL
JOIN cixml.models m ON m.id = v.model_id AND m.is_enabled
WHERE v.fill_from IS NOT NULL AND (v.state = 'building' OR (v.state = 'ready' AND v.activate_at IS NOT NULL))
  AND NOT EXISTS (SELECT FROM cixml.leases b WHERE b.corpus_id = v.corpus_id AND b.work = v.id::text)
ORDER BY v.id
