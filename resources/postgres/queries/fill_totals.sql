-- What a whole version has: live documents, those that are cut for it, and their chunks.
SELECT count(*)::int AS documents, count(s.id)::int AS documents_cut, coalesce(sum(s.chunk_count), 0)::int AS chunks
FROM cixml.documents d
LEFT JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL AND d.live_version_id IS NOT NULL
