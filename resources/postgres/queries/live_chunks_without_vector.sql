-- Of the chunk sets that were live at a mark.
SELECT count(*) FROM cixml.documents d
JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
JOIN cixml.chunks c ON c.chunk_set_id = s.id
WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
  AND s.id <= %(last_set)s AND s.id <> ALL (%(pending)s::bigint[])
  AND NOT EXISTS (SELECT 1 FROM {relation} r WHERE r.corpus_id = c.corpus_id AND r.chunk_hash = c.chunk_hash)
