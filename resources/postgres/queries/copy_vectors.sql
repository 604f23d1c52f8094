-- Whole, not the live ones alone: what is stored for a page under work is paid for. Sweeps take what nobody uses.
INSERT INTO {target} (corpus_id, chunk_hash, embedding, batch_id, stored_at)
SELECT s.corpus_id, s.chunk_hash, s.embedding, s.batch_id, s.stored_at FROM {source} s
WHERE s.corpus_id = %(corpus_id)s
  AND NOT EXISTS (SELECT 1 FROM {target} t WHERE t.corpus_id = s.corpus_id AND t.chunk_hash = s.chunk_hash)
