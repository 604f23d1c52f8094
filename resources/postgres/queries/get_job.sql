-- The caller may not see the corpus any more: its jobs stay.
SELECT j.id, j.caller_id, j.parent_job_id,
       coalesce(CASE WHEN c.owner = j.caller_id THEN c.name ELSE c.owner || ':' || c.name END,
                cixml.corpus_of_own_job(j.id)) AS corpus,
       j.status, j.version, j.failed_stage, j.error, j.created_at, j.started_at,
       j.finished_at, j.traceparent, j.crawl, j.pages_found, j.pages_left_out, n.*
FROM cixml.jobs j
LEFT JOIN cixml.corpora c ON c.id = j.corpus_id
CROSS JOIN LATERAL (
    SELECT count(*) AS total,
           count(*) FILTER (WHERE i.status = 'queued') AS queued,
           count(*) FILTER (WHERE i.status = 'scraping') AS scraping,
           count(*) FILTER (WHERE i.status = 'chunking') AS chunking,
           count(*) FILTER (WHERE i.status = 'embedding') AS embedding,
           count(*) FILTER (WHERE i.status = 'indexed') AS indexed,
           count(*) FILTER (WHERE i.status = 'unchanged') AS unchanged,
           count(*) FILTER (WHERE i.status = 'skipped') AS skipped,
           count(*) FILTER (WHERE i.status = 'failed') AS failed,
           count(*) FILTER (WHERE i.status = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE i.fetched_at IS NOT NULL AND i.http_status < 400) AS pages,
           coalesce(sum(i.bytes), 0)::bigint AS bytes,
           coalesce(sum(i.chunks_total), 0)::bigint AS chunks,
           coalesce(sum(i.embedding_tokens), 0)::bigint AS embedding_tokens,
           coalesce(sum(i.cached_tokens), 0)::bigint AS cached_tokens
    FROM cixml.job_items i
    WHERE i.job_id = j.id
) n
WHERE j.id = %(job_id)s
