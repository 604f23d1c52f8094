-- Whether another caller has an item in the queue that could be worked on now: a run gives up its turn for it.
-- Of each caller the first hundred are looked at, so that held hosts in front of a long queue cost little.
WITH RECURSIVE waiting_caller AS (
    (SELECT caller_id FROM cixml.work_queue ORDER BY caller_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.caller_id FROM cixml.work_queue q WHERE q.caller_id > c.caller_id ORDER BY q.caller_id LIMIT 1)
    FROM waiting_caller c WHERE c.caller_id IS NOT NULL
)
SELECT EXISTS (
    SELECT 1
    FROM waiting_caller c
    CROSS JOIN LATERAL (
        SELECT q.corpus_id, q.url_key, q.host FROM cixml.work_queue q
        WHERE q.caller_id = c.caller_id AND q.ready_at <= now()
        ORDER BY q.ready_at, q.item_id LIMIT 100
    ) q
    WHERE c.caller_id NOT IN (SELECT caller_id FROM cixml.leases WHERE batch_id = %(batch_id)s)
      AND NOT EXISTS (SELECT 1 FROM cixml.hosts h WHERE h.host = q.host AND h.not_before > now())
      AND NOT EXISTS (SELECT 1 FROM cixml.leases l
                      WHERE l.corpus_id = q.corpus_id AND l.url_key = q.url_key AND l.work = 'ingest')
      AND EXISTS (SELECT 1 FROM cixml.index_versions v JOIN cixml.models m ON m.id = v.model_id
                  WHERE v.corpus_id = q.corpus_id AND v.state = 'serving' AND m.is_enabled)
)
