UPDATE cixml.receipts
SET removed = %(removed)s, waits_for = %(waits_for)s,
    status = CASE WHEN %(is_done)s THEN 'done' ELSE 'running' END,
    finished_at = CASE WHEN %(is_done)s THEN clock_timestamp() END,
    next_at = clock_timestamp() + make_interval(secs => CASE WHEN %(waits_for)s::text IS NULL THEN 0 ELSE %(pause_seconds)s END)
WHERE id = %(receipt_id)s
