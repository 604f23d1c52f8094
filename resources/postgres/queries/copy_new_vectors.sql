-- Vectors of the chunk sets that came after a mark, or were not live there and may be so by now.
INSERT INTO {target} (corpus_id, chunk_hash, embedding, batch_id, stored_at)
SELECT s.corpus_id, s.chunk_hash, s.embedding, s.batch_id, s.stored_at
FROM (
    SELECT DISTINCT c.chunk_hash FROM cixml.chunk_sets t JOIN cixml.chunks c ON c.chunk_set_id = t.id
    WHERE t.corpus_id = %(corpus_id)s AND (t.id > %(last_set)s OR t.id = ANY (%(pending)s::bigint[]))
) n
JOIN {source} s ON s.corpus_id = %(corpus_id)s AND s.chunk_hash = n.chunk_hash
WHERE NOT EXISTS (SELECT 1 FROM {target} t WHERE t.corpus_id = s.corpus_id AND t.chunk_hash = s.chunk_hash)
LIMIT %(limit)s
