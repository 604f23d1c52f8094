-- The first heartbeat: the run takes the claimed batch, its items count an attempt, their jobs run. 0 rows: too late,
-- or the corpus is deleted.
-- All jobs of the batch are locked before its items, in the order of their ids, as everywhere (resources/postgres/items.py).
WITH begun AS (
    UPDATE cixml.batches
    SET state = 'running', run_id = %(run_id)s, started_at = now(),
        lease_until = now() + make_interval(secs => %(lease_seconds)s)
    WHERE id = %(batch_id)s AND state = 'claimed' AND run_id IS NULL
      AND EXISTS (SELECT FROM cixml.corpora c WHERE c.id = corpus_id AND c.deleted_at IS NULL)
    RETURNING id
), locked AS MATERIALIZED (
    SELECT j.id FROM cixml.jobs j
    WHERE j.id IN (SELECT i.job_id FROM begun b JOIN cixml.leases l ON l.batch_id = b.id JOIN cixml.job_items i ON i.id = l.item_id)
    ORDER BY j.id FOR NO KEY UPDATE
), tried AS (
    UPDATE cixml.job_items i
    SET status = start_stage, batch_id = l.batch_id, attempts = attempts + 1, started_at = coalesce(started_at, now()),
        waiting_reason = NULL, next_attempt_at = NULL
    FROM cixml.leases l, locked j
    WHERE l.batch_id = %(batch_id)s AND i.id = l.item_id AND i.job_id = j.id AND i.finished_at IS NULL
    RETURNING i.job_id, old.started_at IS NULL AS is_first, l.enqueued_at
), running AS (
    UPDATE cixml.jobs j SET status = 'running', started_at = coalesce(started_at, now()), version = version + 1
    FROM (SELECT DISTINCT job_id FROM tried) t WHERE j.id = t.job_id AND j.status = 'queued'
)
SELECT id AS batch_id,
       (SELECT coalesce(array_agg(extract(epoch FROM clock_timestamp() - enqueued_at)::float8), '{}') FROM tried
        WHERE is_first) AS waited
FROM begun
