-- Whether another caller has an item in the queue that could be worked on now: a run gives up its turn for it.
-- Of each caller the first hundred are looked at, so that held hosts in front of a long queue cost little.
SELECT EXISTS (
    SELECT 1
    FROM cixml.waiting_callers c
    CROSS JOIN LATERAL (
        SELECT q.item_id FROM cixml.work_queue q
        WHERE q.caller_id = c.caller_id AND q.ready_at <= now()
        ORDER BY q.ready_at, q.item_id LIMIT 100
    ) q
    JOIN cixml.workable_items w ON w.item_id = q.item_id
    WHERE c.caller_id NOT IN (SELECT caller_id FROM cixml.leases WHERE batch_id = %(batch_id)s)
)
