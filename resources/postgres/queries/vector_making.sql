-- The run that made a vector, and when. Whoever stored it: it may serve in another index version than it was made for.
SELECT e.stored_at AS embedded_at, b.run_id
FROM {relation} e LEFT JOIN cixml.batches b ON b.id = e.batch_id
WHERE e.corpus_id = %(corpus_id)s AND e.chunk_hash = %(chunk_hash)s
