-- A batch whose run never began or stopped beating. One in mid-write is locked by its fence: passed by.
SELECT id AS batch_id, run_id, state FROM cixml.batches
WHERE finished_at IS NULL AND lease_until < now()
ORDER BY id LIMIT 1
FOR UPDATE SKIP LOCKED
