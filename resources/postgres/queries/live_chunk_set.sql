-- The live version of a document and its chunks, counted. No row when the caller has no such document.
SELECT d.live_version_id, coalesce(s.chunk_count, 0) AS chunk_count
FROM cixml.corpora c
JOIN cixml.index_versions x ON x.corpus_id = c.id AND x.state = 'serving'
JOIN cixml.documents d ON d.corpus_id = c.id
LEFT JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = x.chunking_fp
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
  AND d.id = %(document_id)s AND d.deleted_at IS NULL
