-- The document of the corpus whose text layer is that of an item's page, and the item of the same job that has it. It is live,
-- or under work in the same job, whose lock is held. Candidates have the same first chunk: there is an index for that.
SELECT d.id AS document_id, k.id AS item_id
FROM cixml.job_items i
JOIN cixml.document_versions v ON v.id = i.document_version_id
JOIN cixml.chunk_sets own ON own.document_version_id = v.id
JOIN cixml.chunks f ON f.chunk_set_id = own.id AND f.ordinal = 0
JOIN cixml.chunks c ON c.corpus_id = f.corpus_id AND c.chunk_hash = f.chunk_hash AND c.ordinal = 0
JOIN cixml.chunk_sets s ON s.id = c.chunk_set_id
JOIN cixml.document_versions o ON o.id = s.document_version_id AND o.text_sha256 = v.text_sha256
JOIN cixml.documents d ON d.id = o.document_id AND d.id <> v.document_id AND d.deleted_at IS NULL
LEFT JOIN cixml.job_items k ON k.job_id = i.job_id AND k.url_key = d.url_key AND k.depth IS NOT NULL AND k.id <> i.id
WHERE i.id = %(item_id)s
  AND (d.live_version_id = o.id
       OR (k.document_version_id = o.id AND k.finished_at IS NULL AND k.status = 'embedding'))
ORDER BY d.created_at
LIMIT 1
