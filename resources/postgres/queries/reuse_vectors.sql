-- Vectors of the batch's chunks that the corpus has by the same model in another relation: they are paid for.
INSERT INTO {target} (corpus_id, chunk_hash, embedding, batch_id, stored_at)
SELECT s.corpus_id, s.chunk_hash, s.embedding, s.batch_id, s.stored_at
FROM (
    SELECT DISTINCT c.corpus_id, c.chunk_hash
    FROM cixml.batch_documents w
    JOIN cixml.chunk_sets t ON t.document_version_id = w.document_version_id AND t.chunking_fp = %(chunking_fp)s
    JOIN cixml.chunks c ON c.chunk_set_id = t.id
    WHERE w.batch_id = %(batch_id)s
) n
JOIN {source} s ON s.corpus_id = n.corpus_id AND s.chunk_hash = n.chunk_hash
WHERE NOT EXISTS (SELECT FROM {target} t WHERE t.corpus_id = n.corpus_id AND t.chunk_hash = n.chunk_hash)
ORDER BY s.chunk_hash
ON CONFLICT DO NOTHING
