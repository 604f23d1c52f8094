-- Live documents that lack chunks or vectors of an index version.
SELECT count(*) FROM cixml.documents d
LEFT JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL AND d.live_version_id IS NOT NULL
  AND (s.id IS NULL OR EXISTS (
      SELECT FROM cixml.chunks c
      WHERE c.chunk_set_id = s.id AND NOT EXISTS (
          SELECT FROM {relation} r WHERE r.corpus_id = c.corpus_id AND r.chunk_hash = c.chunk_hash)))
