-- Seconds until something may become ready that is not ready yet; null when nothing waits for a time.
-- Caller by caller through the index: a scan of a million rows for their least time costs 0.2 s.
WITH RECURSIVE waiting_caller AS (
    (SELECT caller_id FROM cixml.work_queue ORDER BY caller_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.caller_id FROM cixml.work_queue q WHERE q.caller_id > c.caller_id ORDER BY q.caller_id LIMIT 1)
    FROM waiting_caller c WHERE c.caller_id IS NOT NULL
)
SELECT extract(epoch FROM min(at) - now())::float8 FROM (
    SELECT (SELECT min(q.ready_at) FROM cixml.work_queue q WHERE q.caller_id = c.caller_id AND q.ready_at > now()) AS at
    FROM waiting_caller c
    UNION ALL
    SELECT min(h.not_before) FROM cixml.hosts h WHERE h.not_before > now()
) due
