-- A sample: hashes of texts stand in no order.
SELECT embedding FROM {relation} WHERE chunk_hash >= %(after)s ORDER BY corpus_id, chunk_hash LIMIT %(limit)s
