-- What /metrics tells of the database: numbers over all callers, none of which names a caller, a URL or a corpus.

-- Where an item starts is in its queue row too: depth by stage is a scan of the queue alone.
ALTER TABLE cixml.work_queue ADD stage text NOT NULL DEFAULT 'scraping'
    CHECK (stage IN ('scraping', 'chunking', 'embedding'));
UPDATE cixml.work_queue q SET stage = i.start_stage
FROM cixml.job_items i WHERE i.id = q.item_id AND i.start_stage <> 'scraping';

CREATE TABLE cixml.beats (
    part    text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE cixml.beats IS 'when a process of which one works at a time was last seen at work';
GRANT SELECT, INSERT, UPDATE ON cixml.beats TO cixml_pipeline;

-- A row for each gauge and label. `jobs` are those of the last day: their ids are in the order of time, so that is a
-- range of the primary key, however many jobs there are. The oldest transaction is told where the owner may see those of
-- all logins (a superuser, or a member of pg_read_all_stats).
CREATE FUNCTION cixml.state_numbers() RETURNS TABLE (metric text, label text, number double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        WITH queue AS (
            SELECT s.stage, count(q.item_id) AS items, extract(epoch FROM now() - min(q.enqueued_at)) AS oldest
            FROM unnest(ARRAY['scraping', 'chunking', 'embedding']) AS s (stage) LEFT JOIN work_queue q USING (stage)
            GROUP BY s.stage
        ), recent AS (
            SELECT status, count(*) AS jobs FROM jobs WHERE id >= (SELECT uuidv7(interval '-1 day')) GROUP BY status
        ), alive AS (
            SELECT queues, slots FROM workers WHERE seen_at > now() - interval '15 seconds'
        ), taken AS (
            SELECT caller_id, count(*) AS items FROM leases WHERE item_id IS NOT NULL GROUP BY caller_id
        ), open_receipts AS (
            SELECT count(*) AS receipts, min(requested_at) AS oldest FROM receipts WHERE finished_at IS NULL
        ), sessions AS (
            SELECT count(*) AS open, max(clock_timestamp() - xact_start) AS oldest
            FROM pg_stat_activity WHERE datid IS NOT NULL
        ), tables AS (
            SELECT CASE WHEN relname LIKE 'vectors%' THEN 'vectors' ELSE relname END AS relation,
                   sum(n_live_tup) AS rows, sum(n_dead_tup) AS dead
            FROM pg_stat_user_tables WHERE schemaname = 'cixml' GROUP BY 1
        )
        SELECT 'cixml_queue_depth', stage, items FROM queue
        UNION ALL SELECT 'cixml_queue_oldest_seconds', stage, coalesce(oldest, 0) FROM queue
        UNION ALL SELECT 'cixml_jobs', s.status, coalesce(jobs, 0)
            FROM unnest(ARRAY['queued', 'running', 'succeeded', 'partial', 'failed', 'cancelling', 'cancelled']) AS s (status)
            LEFT JOIN recent USING (status)
        UNION ALL SELECT 'cixml_items_in_work', '', coalesce(sum(items), 0) FROM taken
        UNION ALL SELECT 'cixml_largest_share', '', coalesce(max(items) / sum(items), 0) FROM taken
        UNION ALL SELECT 'cixml_callers_waiting', '', count(*) FROM waiting_callers
        UNION ALL SELECT 'cixml_batches', s.state, count(b.id)
            FROM unnest(ARRAY['claimed', 'running']) AS s (state)
            LEFT JOIN batches b ON b.state = s.state AND b.finished_at IS NULL GROUP BY s.state
        UNION ALL SELECT 'cixml_workers', q.name, count(a.slots)
            FROM unnest(ARRAY['ingest', 'backfill']) AS q (name) LEFT JOIN alive a ON q.name = ANY (a.queues) GROUP BY q.name
        UNION ALL SELECT 'cixml_worker_slots', q.name, coalesce(sum(a.slots), 0)
            FROM unnest(ARRAY['ingest', 'backfill']) AS q (name) LEFT JOIN alive a ON q.name = ANY (a.queues) GROUP BY q.name
        UNION ALL SELECT 'cixml_hosts_paused', '', count(*) FROM hosts WHERE not_before > now()
        UNION ALL SELECT 'cixml_deletions_open', '', receipts FROM open_receipts
        UNION ALL SELECT 'cixml_deletion_oldest_seconds', '', coalesce(extract(epoch FROM now() - oldest), 0) FROM open_receipts
        UNION ALL SELECT 'cixml_heartbeat_age_seconds', part, extract(epoch FROM clock_timestamp() - seen_at) FROM beats
        UNION ALL SELECT 'cixml_postgres_dead_rows', relation, dead FROM tables
        UNION ALL SELECT 'cixml_postgres_rows', relation, rows FROM tables
        UNION ALL SELECT 'cixml_postgres_connections', '', open FROM sessions
        UNION ALL SELECT 'cixml_postgres_connections_limit', '', current_setting('max_connections')::int
        UNION ALL SELECT 'cixml_postgres_oldest_transaction_seconds', '', coalesce(extract(epoch FROM oldest), 0)
            FROM sessions WHERE pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
        UNION ALL SELECT 'cixml_postgres_database_bytes', datname, pg_database_size(oid)
            FROM pg_database WHERE NOT datistemplate AND has_database_privilege(oid, 'CONNECT')
    $$;
REVOKE ALL ON FUNCTION cixml.state_numbers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.state_numbers() TO cixml_api, cixml_pipeline;
