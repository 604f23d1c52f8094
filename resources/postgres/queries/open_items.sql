SELECT l.item_id, i.status, i.attempts
FROM cixml.leases l JOIN cixml.job_items i ON i.id = l.item_id
WHERE l.batch_id = %(batch_id)s AND i.finished_at IS NULL
ORDER BY l.item_id
