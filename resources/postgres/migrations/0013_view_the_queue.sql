-- Callers with something in the queue, found by skipping through its index: a queue of a million rows costs a look each.
CREATE VIEW cixml.waiting_callers WITH (security_invoker = true) AS
    WITH RECURSIVE waiting_caller AS (
        (SELECT caller_id FROM cixml.work_queue ORDER BY caller_id LIMIT 1)
        UNION ALL
        SELECT (SELECT q.caller_id FROM cixml.work_queue q WHERE q.caller_id > c.caller_id ORDER BY q.caller_id LIMIT 1)
        FROM waiting_caller c WHERE c.caller_id IS NOT NULL
    )
    SELECT caller_id FROM waiting_caller WHERE caller_id IS NOT NULL;
GRANT SELECT ON cixml.waiting_callers TO cixml_pipeline;

-- What could be worked on now, and the model that its corpus is served by. Held hosts are a set that is asked before all
-- else: a caller's whole queue may be of one.
CREATE VIEW cixml.workable_items WITH (security_invoker = true) AS
    SELECT q.item_id, q.caller_id, q.corpus_id, q.url_key, q.ready_at, m.name AS model
    FROM cixml.work_queue q
    JOIN cixml.index_versions v ON v.corpus_id = q.corpus_id AND v.state = 'serving'
    JOIN cixml.models m ON m.id = v.model_id AND m.is_enabled
    JOIN cixml.corpora k ON k.id = q.corpus_id AND k.deleted_at IS NULL
    WHERE q.ready_at <= now()
      AND q.host NOT IN (SELECT h.host FROM cixml.hosts h WHERE h.not_before > now())
      AND NOT EXISTS (SELECT FROM cixml.leases l
                      WHERE l.corpus_id = q.corpus_id AND l.url_key = q.url_key AND l.work = 'ingest');
GRANT SELECT ON cixml.workable_items TO cixml_pipeline;
