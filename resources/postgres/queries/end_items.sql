-- Ends items that this batch leases, and each job whose last item that was, in the transaction of the data. Usage is
-- counted last: its rows are taken in turns, one transaction of a corpus at a time (`turn`), after all other locks.
-- What was unchanged or failed of a document that was deleted after the item was submitted is skipped.
WITH ending AS (
    SELECT e.*, o.is_skipped
    FROM jsonb_to_recordset(%(ends)s::jsonb) AS e (
        item_id uuid, status text, failed_stage text, error jsonb, change text, http_status int, bytes bigint,
        final_url text, robots jsonb, fetched_at timestamptz, document_id uuid, duplicate_of uuid,
        chunks_added int, chunks_kept int, chunks_removed int, embedding_tokens bigint, cached_tokens bigint)
    CROSS JOIN LATERAL (
        SELECT e.status IN ('unchanged', 'failed') AND EXISTS (
            SELECT FROM cixml.job_items i
            JOIN cixml.documents g ON g.corpus_id = i.corpus_id AND g.deleted_url_key = i.url_key
            WHERE i.id = e.item_id AND g.deleted_at > i.created_at) AS is_skipped
    ) o
), freed AS (
    DELETE FROM cixml.leases l USING ending e
    WHERE l.item_id = e.item_id AND l.batch_id = %(batch_id)s
    RETURNING l.item_id
), ended AS (
    UPDATE cixml.job_items i
    SET status = CASE WHEN e.is_skipped THEN 'skipped' ELSE e.status END,
        finished_at = now(), waiting_reason = NULL, next_attempt_at = NULL,
        failed_stage = CASE WHEN NOT e.is_skipped THEN e.failed_stage END,
        error = CASE WHEN NOT e.is_skipped THEN
            e.error || jsonb_build_object('attempts', i.attempts, 'at', now()) END,
        duplicate_of = coalesce(e.duplicate_of, i.duplicate_of),
        change = CASE WHEN e.status = 'skipped' THEN e.change ELSE coalesce(e.change, i.change) END,
        http_status = coalesce(e.http_status, i.http_status), bytes = coalesce(e.bytes, i.bytes),
        final_url = coalesce(e.final_url, i.final_url),
        robots = coalesce(e.robots, i.robots), fetched_at = coalesce(e.fetched_at, i.fetched_at),
        document_id = coalesce(e.document_id, i.document_id),
        chunks_added = coalesce(e.chunks_added, 0), chunks_kept = coalesce(e.chunks_kept, 0),
        chunks_removed = coalesce(e.chunks_removed, 0), embedding_tokens = coalesce(e.embedding_tokens, 0),
        cached_tokens = coalesce(e.cached_tokens, 0), ended_version = j.version + 1
    FROM ending e JOIN freed f ON f.item_id = e.item_id, cixml.jobs j
    WHERE i.id = e.item_id AND j.id = i.job_id AND i.finished_at IS NULL
    RETURNING i.id, i.job_id, i.status, i.failed_stage, i.error, i.created_at, i.caller_id, i.corpus_id, i.document_id,
              i.fetched_at,
              i.http_status, i.bytes, i.chunks_total, i.cached_tokens
), tally AS (
    SELECT job_id, count(*) AS ended, count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status IN ('indexed', 'unchanged', 'skipped')) AS good,
           (array_agg(failed_stage ORDER BY id) FILTER (WHERE status = 'failed'))[1] AS failed_stage,
           (array_agg(error ORDER BY id) FILTER (WHERE status = 'failed'))[1] AS error
    FROM ended GROUP BY job_id
), counted AS (
    UPDATE cixml.jobs j
    SET items_open = j.items_open - t.ended, items_failed = j.items_failed + t.failed,
        items_good = j.items_good + t.good, version = j.version + 1, progressed_at = now(),
        failed_stage = coalesce(j.failed_stage, t.failed_stage), error = coalesce(j.error, t.error),
        finished_at = CASE WHEN j.items_open = t.ended THEN now() END,
        status = CASE
            WHEN j.items_open > t.ended THEN j.status
            WHEN j.status = 'cancelling' THEN 'cancelled'
            WHEN j.items_failed + t.failed = 0 THEN 'succeeded'
            WHEN j.items_good + t.good = 0 THEN 'failed'
            ELSE 'partial' END
    FROM tally t WHERE j.id = t.job_id
    RETURNING j.id, j.status, j.finished_at, j.created_at, j.finished_at IS NOT NULL AND j.crawl IS NOT NULL AS ends_crawl
), removed AS (
    INSERT INTO cixml.removed_pages (item_id, document_id, corpus_id, caller_id)
    SELECT d.id, d.document_id, d.corpus_id, d.caller_id FROM ended d JOIN ending e ON e.item_id = d.id
    WHERE e.change = 'removed' AND d.document_id IS NOT NULL
), turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('cixml usage ' || b.corpus_id, 0))
    FROM cixml.batches b WHERE b.id = %(batch_id)s
), used AS (
    INSERT INTO cixml.usage AS u (caller_id, day, corpus_owner, corpus, model, operation, pages, bytes, chunks, cached_tokens)
    SELECT e.caller_id, (now() AT TIME ZONE 'UTC')::date, c.owner, c.name, m.name, 'index',
           count(*) FILTER (WHERE e.fetched_at IS NOT NULL AND e.http_status < 400), sum(e.bytes), sum(e.chunks_total),
           sum(e.cached_tokens)
    FROM turn
    CROSS JOIN ended e
    JOIN cixml.corpora c ON c.id = e.corpus_id
    JOIN cixml.index_versions x ON x.corpus_id = c.id AND x.state = 'serving'
    JOIN cixml.models m ON m.id = x.model_id
    WHERE e.status IN ('indexed', 'unchanged', 'failed')
      AND (e.fetched_at IS NOT NULL OR e.bytes > 0 OR e.cached_tokens > 0)
    GROUP BY e.caller_id, c.owner, c.name, m.name
    ON CONFLICT (caller_id, day, corpus_owner, corpus, model, operation) DO UPDATE
    SET pages = u.pages + excluded.pages, bytes = u.bytes + excluded.bytes, chunks = u.chunks + excluded.chunks,
        cached_tokens = u.cached_tokens + excluded.cached_tokens
)
SELECT e.id AS item_id, e.status, e.failed_stage, e.error ->> 'code' AS code,
       extract(epoch FROM clock_timestamp() - e.created_at)::float8 AS age_seconds,
       CASE WHEN c.ends_crawl THEN c.id END AS ended_crawl,
       e.job_id, CASE WHEN c.finished_at IS NOT NULL THEN c.status END AS job_outcome,
       extract(epoch FROM c.finished_at - c.created_at)::float8 AS job_seconds
FROM ended e JOIN counted c ON c.id = e.job_id
