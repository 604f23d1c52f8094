-- Only what the new version was built from: the same model over the same chunks.
UPDATE cixml.index_versions x SET state = 'retired', state_changed_at = now()
FROM cixml.index_versions v
WHERE v.id = %(index_version_id)s AND v.state = 'building' AND x.corpus_id = v.corpus_id AND x.state = 'serving'
  AND x.model_id = v.model_id AND x.chunking_fp = v.chunking_fp
