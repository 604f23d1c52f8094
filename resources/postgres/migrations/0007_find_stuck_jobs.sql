-- When an item of the job last ended. Written where the job's counters are, so it costs no update of its own; not indexed.
ALTER TABLE cixml.jobs ADD COLUMN progressed_at timestamptz NOT NULL DEFAULT now();

-- Which open jobs ended no item for so long, and why: the stage and the reason of most of their first hundred open items.
-- At most 1,000 jobs, the longest still first.
CREATE FUNCTION cixml.stuck_jobs(still_for interval DEFAULT '30 minutes')
    RETURNS TABLE (job_id uuid, caller_id text, corpus text, status text, items_open int, still interval, stage text,
                   reason text)
    LANGUAGE sql STABLE SET search_path = cixml, pg_temp
    AS $$
        WITH stuck AS MATERIALIZED (
            SELECT * FROM jobs
            WHERE finished_at IS NULL AND progressed_at < now() - still_for
            ORDER BY progressed_at LIMIT 1000
        ), worker AS (
            SELECT EXISTS (SELECT 1 FROM workers
                           WHERE 'ingest' = ANY (queues) AND seen_at > now() - interval '15 seconds') AS lives
        )
        SELECT s.id, s.caller_id, c.name, s.status, s.items_open, now() - s.progressed_at, w.stage, w.reason
        FROM stuck s
        JOIN corpora c ON c.id = s.corpus_id
        LEFT JOIN LATERAL (
            SELECT mode() WITHIN GROUP (ORDER BY o.stage) AS stage, mode() WITHIN GROUP (ORDER BY o.reason) AS reason
            FROM (
                SELECT CASE WHEN i.status = 'queued' THEN i.start_stage ELSE i.status END AS stage,
                       CASE
                           WHEN l.item_id = i.id AND b.state = 'claimed' THEN 'starting'
                           WHEN l.item_id = i.id THEN 'working'
                           WHEN q.ready_at > now() THEN coalesce(i.waiting_reason, 'retry')
                           WHEN NOT (SELECT lives FROM worker) THEN 'no_worker'
                           WHEN EXISTS (SELECT 1 FROM hosts h WHERE h.host = i.host AND h.not_before > now()) THEN 'host'
                           WHEN NOT EXISTS (SELECT 1 FROM index_versions v JOIN models m ON m.id = v.model_id
                                            WHERE v.corpus_id = i.corpus_id AND v.state = 'serving' AND m.is_enabled)
                               THEN 'model_disabled'
                           WHEN l.item_id IS NOT NULL THEN 'same_url'
                           ELSE coalesce(i.waiting_reason, 'slot')
                       END AS reason
                FROM (SELECT * FROM job_items n WHERE n.job_id = s.id AND n.finished_at IS NULL
                      ORDER BY n.ordinal LIMIT 100) i
                LEFT JOIN work_queue q ON q.item_id = i.id
                LEFT JOIN leases l ON l.corpus_id = i.corpus_id AND l.url_key = i.url_key AND l.work = 'ingest'
                LEFT JOIN batches b ON b.id = l.batch_id
            ) o
        ) w ON true
        ORDER BY s.progressed_at
    $$;
REVOKE ALL ON FUNCTION cixml.stuck_jobs(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.stuck_jobs(interval) TO cixml_pipeline;
