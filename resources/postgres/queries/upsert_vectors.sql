-- In the order of the hashes: two batches that store the same paragraphs must not wait for each other.
INSERT INTO {relation} (corpus_id, chunk_hash, embedding)
SELECT %(corpus_id)s, chunk_hash, embedding FROM stage_vectors ORDER BY chunk_hash
ON CONFLICT (corpus_id, chunk_hash) DO NOTHING
