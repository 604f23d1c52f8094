-- /metrics and /healthz ask for these numbers: one pass over a queue of a million rows instead of three.
CREATE OR REPLACE FUNCTION cixml.queue_numbers()
    RETURNS TABLE (ready bigint, waiting bigint, leased bigint, oldest_seconds double precision, live_slots bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        SELECT q.ready, q.waiting,
               (SELECT count(*) FROM leases WHERE item_id IS NOT NULL),
               coalesce(extract(epoch FROM now() - q.oldest), 0),
               (SELECT coalesce(sum(slots), 0) FROM workers WHERE seen_at > now() - interval '15 seconds')
        FROM (SELECT count(*) FILTER (WHERE ready_at <= now()) AS ready,
                     count(*) FILTER (WHERE ready_at > now()) AS waiting,
                     min(enqueued_at) AS oldest
              FROM work_queue) q
    $$;
