-- Ends what waits. What is under a lease is ended by its run, which sees the job's status; a job that is over stays so.
WITH job AS (
    SELECT id, version FROM cixml.jobs WHERE id = %(job_id)s AND caller_id = %(caller_id)s AND finished_at IS NULL
), taken AS (
    DELETE FROM cixml.work_queue q USING cixml.job_items i, job j
    WHERE i.job_id = j.id AND i.finished_at IS NULL AND q.item_id = i.id
    RETURNING q.item_id
), ended AS (
    UPDATE cixml.job_items i
    SET status = 'cancelled', finished_at = now(), waiting_reason = NULL, next_attempt_at = NULL,
        ended_version = j.version + 1
    FROM taken t, job j WHERE i.id = t.item_id
    RETURNING i.id
)
UPDATE cixml.jobs j
SET items_open = j.items_open - e.items, version = j.version + 1,
    status = CASE WHEN j.items_open = e.items THEN 'cancelled' ELSE 'cancelling' END,
    finished_at = CASE WHEN j.items_open = e.items THEN now() END
FROM job, (SELECT count(*) AS items FROM ended) e
WHERE j.id = job.id AND (j.status <> 'cancelling' OR e.items > 0)
