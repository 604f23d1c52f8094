-- Of the chunk sets that went live after a mark; the others are live_chunks_without_vector.sql's.
SELECT count(*) FROM cixml.chunk_sets s
JOIN cixml.document_versions v ON v.id = s.document_version_id
JOIN cixml.documents d ON d.id = v.document_id AND d.live_version_id = v.id AND d.deleted_at IS NULL
JOIN cixml.chunks c ON c.chunk_set_id = s.id
WHERE s.corpus_id = %(corpus_id)s AND s.chunking_fp = %(chunking_fp)s
  AND (s.id > %(last_set)s OR s.id = ANY (%(pending)s::bigint[]))
  AND NOT EXISTS (SELECT 1 FROM {relation} r WHERE r.corpus_id = c.corpus_id AND r.chunk_hash = c.chunk_hash)
