UPDATE cixml.batches SET state = %(state)s, finished_at = now()
WHERE id = %(batch_id)s AND finished_at IS NULL
