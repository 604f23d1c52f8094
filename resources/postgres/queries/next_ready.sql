-- Seconds until something in the queue becomes ready that is not ready yet; null when nothing waits for a time.
SELECT extract(epoch FROM min(at) - now())::float8 FROM (
    SELECT min(ready_at) AS at FROM cixml.work_queue WHERE ready_at > now()
    UNION ALL
    SELECT min(h.not_before) FROM cixml.hosts h
    WHERE h.not_before > now() AND EXISTS (SELECT 1 FROM cixml.work_queue q WHERE q.host = h.host)
) due
