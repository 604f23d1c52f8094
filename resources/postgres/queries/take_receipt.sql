-- The next deletion with work to do, locked: another sweeper passes by. Each goes to the end of the line with every slice.
SELECT r.id AS receipt_id, r.kind, r.corpus_id, r.removed, r.waits_for, r.requested_at, r.traceparent, c.partition_key, c.name AS corpus_name
FROM cixml.receipts r JOIN cixml.corpora c ON c.id = r.corpus_id
WHERE r.finished_at IS NULL AND r.next_at <= now()
ORDER BY r.next_at, r.id LIMIT 1
FOR UPDATE OF r SKIP LOCKED
