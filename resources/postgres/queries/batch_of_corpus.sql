-- An open batch of a corpus, to be closed. One whose run is in mid-write is locked by its fence: passed by until it is over.
SELECT id AS batch_id, run_id, state FROM cixml.batches
WHERE corpus_id = %(corpus_id)s AND finished_at IS NULL
ORDER BY id LIMIT 1
FOR UPDATE SKIP LOCKED
