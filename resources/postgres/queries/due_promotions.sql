-- Builds that may start: nothing went live for a while, or what is scanned is too much to wait for that. And versions that a
-- killed run retired without clearing up behind them.
SELECT v.id AS index_version_id, c.partition_key
FROM cixml.index_versions v
JOIN cixml.corpora c ON c.id = v.corpus_id AND c.deleted_at IS NULL
JOIN cixml.models m ON m.id = v.model_id AND m.is_enabled
JOIN cixml.corpus_levels l ON l.corpus_id = v.corpus_id AND l.chunking_fp = v.chunking_fp
WHERE v.state = 'building' AND v.fill_from IS NULL
  AND (v.is_urgent OR l.changed_at < now() - make_interval(secs => %(quiet_seconds)s))
  AND NOT EXISTS (SELECT 1 FROM cixml.leases b WHERE b.corpus_id = v.corpus_id AND b.work = v.id::text)
UNION ALL
SELECT v.id, c.partition_key
FROM cixml.index_versions v JOIN cixml.corpora c ON c.id = v.corpus_id AND c.deleted_at IS NULL
WHERE v.state = 'retired' AND v.released_at IS NULL AND coalesce(v.drop_after, v.state_changed_at + interval '1 minute') < now()
  AND NOT EXISTS (SELECT 1 FROM cixml.leases b WHERE b.corpus_id = v.corpus_id AND b.work = v.id::text)
ORDER BY index_version_id
