-- The first heartbeat: the run takes the claimed batch, its items count an attempt, their jobs run. 0 rows: too late.
WITH begun AS (
    UPDATE cixml.batches
    SET state = 'running', run_id = %(run_id)s, started_at = now(),
        lease_until = now() + make_interval(secs => %(lease_seconds)s)
    WHERE id = %(batch_id)s AND state = 'claimed' AND run_id IS NULL
    RETURNING id
), tried AS (
    UPDATE cixml.job_items i
    SET status = start_stage, batch_id = b.id, attempts = attempts + 1, started_at = coalesce(started_at, now()),
        waiting_reason = NULL, next_attempt_at = NULL
    FROM cixml.leases l, begun b
    WHERE l.batch_id = b.id AND i.id = l.item_id AND i.finished_at IS NULL
    RETURNING i.job_id
), queued AS (
    SELECT j.id FROM cixml.jobs j WHERE j.id IN (SELECT job_id FROM tried) AND j.status = 'queued'
    ORDER BY j.id FOR NO KEY UPDATE
), running AS (
    UPDATE cixml.jobs j SET status = 'running', started_at = coalesce(started_at, now()), version = version + 1
    FROM queued q WHERE j.id = q.id AND j.status = 'queued'
)
SELECT id AS batch_id FROM begun
