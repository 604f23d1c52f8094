SELECT d.id, d.url, d.external_id, d.metadata, v.title, v.language, s.chunk_count, v.fetched_at, d.checked_at, d.live_version_id
FROM cixml.corpora c
JOIN cixml.index_versions x ON x.corpus_id = c.id AND x.state = 'serving'
JOIN cixml.documents d ON d.corpus_id = c.id
JOIN cixml.document_versions v ON v.id = d.live_version_id
JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = x.chunking_fp
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
  AND d.deleted_at IS NULL
  AND (%(after_id)s::uuid IS NULL OR d.id > %(after_id)s)
ORDER BY d.id
LIMIT %(limit)s
