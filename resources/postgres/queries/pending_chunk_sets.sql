-- Chunk sets of the corpus that are not live and may still become so (a flip refuses an older fetch than the live one).
SELECT s.id FROM cixml.documents d
JOIN cixml.document_versions v ON v.document_id = d.id
JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = %(chunking_fp)s
WHERE d.corpus_id = %(corpus_id)s AND s.id <= %(last_set)s AND v.id IS DISTINCT FROM d.live_version_id
  AND (v.fetch_seq > d.fetch_seq OR d.deleted_at IS NOT NULL)
