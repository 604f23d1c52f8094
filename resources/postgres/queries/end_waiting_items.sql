-- Ends items that are in the queue, and each job whose last item that was. Their jobs are locked before. One that is being
-- claimed just now is passed by: it is under a lease then.
WITH held AS MATERIALIZED (
    SELECT item_id FROM cixml.work_queue WHERE item_id = ANY (%(item_ids)s::uuid[]) FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM cixml.work_queue q USING held h WHERE q.item_id = h.item_id
), ended AS (
    UPDATE cixml.job_items i
    SET status = %(status)s, finished_at = now(), waiting_reason = NULL, next_attempt_at = NULL,
        ended_version = j.version + 1
    FROM held h, cixml.jobs j
    WHERE i.id = h.item_id AND j.id = i.job_id AND i.finished_at IS NULL
    RETURNING i.id, i.job_id, i.status
), tally AS (
    SELECT job_id, count(*) AS ended, count(*) FILTER (WHERE status = 'skipped') AS good FROM ended GROUP BY job_id
), counted AS (
    UPDATE cixml.jobs j
    SET items_open = j.items_open - t.ended, items_good = j.items_good + t.good, version = j.version + 1,
        progressed_at = now(), finished_at = CASE WHEN j.items_open = t.ended THEN now() END,
        status = CASE
            WHEN j.items_open > t.ended AND %(status)s = 'cancelled' THEN 'cancelling'
            WHEN j.items_open > t.ended THEN j.status
            WHEN %(status)s = 'cancelled' OR j.status = 'cancelling' THEN 'cancelled'
            WHEN j.items_failed = 0 THEN 'succeeded'
            ELSE 'partial' END
    FROM tally t WHERE j.id = t.job_id
    RETURNING old.status IN ('queued', 'running') AND new.status IN ('cancelling', 'cancelled') AS is_cancelled
)
SELECT (SELECT count(*) FROM ended) AS items, (SELECT count(*) FROM counted WHERE is_cancelled) AS jobs
