-- What a caller is told of a job under way: which runs work on it, what is ahead of it, when it may end; and its events.

-- The batch that took the item last. Not indexed, like all that a status change touches.
ALTER TABLE cixml.job_items ADD batch_id uuid;
-- The job's version with which the item ended. Versions grow under the job's lock, so who has seen one has seen all items
-- of the versions before: a stream of events resumes by it.
ALTER TABLE cixml.job_items ADD ended_version int;
GRANT UPDATE (ended_version) ON cixml.job_items TO cixml_api;

CREATE POLICY rows_of_visible_corpora ON cixml.batches TO cixml_api
    USING (corpus_id = ANY ((SELECT cixml.visible_corpora())::uuid[]));
GRANT SELECT ON cixml.batches TO cixml_api;

-- How the queue looks from a caller's own open job: counts over all callers, and no caller. No row: it has ended.
-- The order is the claim's (claimable_items.sql): an item's turn among its caller's, behind what the caller has in flight.
-- A place is looked for among the caller's first 10,000; behind these it is not known, nor is the end.
CREATE FUNCTION cixml.job_outlook(job uuid)
    RETURNS TABLE (ahead_of_you bigint, your_share double precision, eta_seconds double precision, has_worker boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        WITH RECURSIVE me AS MATERIALIZED (
            SELECT j.id, j.caller_id, j.corpus_id, j.items_open FROM jobs j
            WHERE j.id = job AND j.caller_id = caller() AND j.finished_at IS NULL
        ), place AS MATERIALIZED (
            SELECT min(f.turn) - 1 AS first_turn, max(f.turn) - 1 AS last_turn, count(*) AS waiting,
                   max(extract(epoch FROM f.ready_at - now())) AS wait_seconds
            FROM (
                SELECT q.item_id, q.ready_at, row_number() OVER (ORDER BY q.ready_at, q.item_id) AS turn
                FROM work_queue q WHERE q.caller_id = (SELECT caller_id FROM me)
                ORDER BY q.ready_at, q.item_id LIMIT 10000
            ) f
            JOIN job_items i ON i.id = f.item_id AND i.job_id = job
        ), in_flight AS MATERIALIZED (
            SELECT l.caller_id, count(*) AS items, count(*) FILTER (WHERE i.job_id = job) AS of_job,
                   count(DISTINCT l.batch_id) FILTER (WHERE i.job_id = job) AS batches_of_job
            FROM leases l JOIN job_items i ON i.id = l.item_id GROUP BY l.caller_id
        ), mine AS (
            SELECT coalesce(sum(items), 0) AS items, coalesce(sum(of_job), 0) AS of_job,
                   coalesce(sum(batches_of_job), 0) AS batches_of_job
            FROM in_flight WHERE caller_id = (SELECT caller_id FROM me)
        ), waiting_caller AS (
            (SELECT caller_id FROM work_queue ORDER BY caller_id LIMIT 1)
            UNION ALL
            SELECT (SELECT q.caller_id FROM work_queue q WHERE q.caller_id > c.caller_id ORDER BY q.caller_id LIMIT 1)
            FROM waiting_caller c WHERE c.caller_id IS NOT NULL
        ), others AS (
            SELECT coalesce(sum(least(n.waiting, greatest(0, p.first_turn + m.items - coalesce(f.items, 0)))), 0) AS first,
                   coalesce(sum(n.waiting), 0) AS last
            FROM place p, mine m, waiting_caller c
            LEFT JOIN in_flight f ON f.caller_id = c.caller_id
            CROSS JOIN LATERAL (
                SELECT count(*) AS waiting FROM (
                    SELECT FROM work_queue q WHERE q.caller_id = c.caller_id AND q.ready_at <= now()
                    LIMIT (SELECT greatest(0, coalesce(p.last_turn, 0) + m.items - coalesce(f.items, 0)))
                ) found
            ) n
            WHERE p.waiting > 0 AND c.caller_id <> (SELECT caller_id FROM me)
        ), sharers AS (
            SELECT count(*) AS callers FROM (
                SELECT caller_id FROM waiting_caller WHERE caller_id IS NOT NULL
                UNION SELECT caller_id FROM in_flight UNION SELECT caller_id FROM me
            ) found
        ), slots AS (
            SELECT coalesce(sum(w.slots), 0) AS count FROM workers w WHERE w.seen_at > now() - interval '15 seconds'
        ), recent AS (
            SELECT b.corpus_id, b.items, extract(epoch FROM b.finished_at - b.started_at) AS seconds FROM batches b
            WHERE b.id > uuidv7(interval '-1 hour') AND b.kind <> 'backfill' AND b.state = 'done'
              AND b.started_at IS NOT NULL AND b.items > 0
            ORDER BY b.id DESC LIMIT 200
        ), pace AS (
            SELECT coalesce(sum(r.seconds) FILTER (WHERE r.corpus_id = me.corpus_id)
                                / sum(r.items) FILTER (WHERE r.corpus_id = me.corpus_id),
                            sum(r.seconds) / sum(r.items)) AS slot_seconds
            FROM recent r, me
        )
        SELECT CASE WHEN p.waiting > 0 THEN p.first_turn + o.first WHEN m.of_job = me.items_open THEN 0 END::bigint,
               1.0 / s.callers,
               CASE
                   WHEN w.count = 0 OR p.waiting + m.of_job < me.items_open THEN NULL
                   WHEN p.waiting = 0 THEN m.of_job * e.slot_seconds / greatest(1, least(w.count, m.batches_of_job))
                   ELSE greatest(p.wait_seconds, 0) + e.slot_seconds / w.count
                        * (p.last_turn + 1 + o.last + (SELECT coalesce(sum(items), 0) FROM in_flight))
               END::double precision,
               w.count > 0
        FROM me CROSS JOIN place p CROSS JOIN mine m CROSS JOIN others o CROSS JOIN sharers s CROSS JOIN slots w
        LEFT JOIN pace e ON true
    $$;
REVOKE ALL ON FUNCTION cixml.job_outlook(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.job_outlook(uuid) TO cixml_api;
