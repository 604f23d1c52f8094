-- In the order of the hashes: two batches that store the same paragraphs must not wait for each other. A text that was
-- deleted while it was embedded has no chunk any more: its vector would stay for ever. One that is in a graph is no conflict of
-- the relation above it.
INSERT INTO {relation} (corpus_id, chunk_hash, embedding, batch_id, stored_at)
SELECT %(corpus_id)s, s.chunk_hash, s.embedding, %(batch_id)s, now() FROM stage_vectors s
WHERE EXISTS (SELECT FROM cixml.chunks c WHERE c.corpus_id = %(corpus_id)s AND c.chunk_hash = s.chunk_hash)
  AND NOT EXISTS (SELECT FROM {relation} r WHERE r.corpus_id = %(corpus_id)s AND r.chunk_hash = s.chunk_hash)
ORDER BY s.chunk_hash
ON CONFLICT (corpus_id, chunk_hash) DO NOTHING
