-- Beginnings of live chunks, as questions where nobody has asked any.
SELECT left(c.text, 200) FROM cixml.documents d
JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
JOIN cixml.chunks c ON c.chunk_set_id = s.id
WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
ORDER BY c.chunk_hash LIMIT %(limit)s
