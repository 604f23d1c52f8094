-- A large corpus that was never counted, or has grown or shrunk by a fifth since.
SELECT l.corpus_id, l.chunking_fp
FROM cixml.corpus_levels l
JOIN cixml.index_versions x ON x.corpus_id = l.corpus_id AND x.chunking_fp = l.chunking_fp AND x.state = 'serving'
JOIN cixml.corpora c ON c.id = l.corpus_id AND c.deleted_at IS NULL
WHERE l.chunks >= %(from_chunks)s
  AND (l.counted_chunks IS NULL OR abs(l.chunks - l.counted_chunks) > 0.2 * l.counted_chunks)
LIMIT 1
