-- A URL that occurs again in the job is skipped: its item names the first one and is not queued. What was pushed is
-- stored already as a version: its item has nothing to fetch.
WITH given AS MATERIALIZED (
    SELECT uuidv7() AS id, u.*
    FROM unnest(%(urls)s::text[], %(url_keys)s::text[], %(hosts)s::text[], %(external_ids)s::text[], %(metadata)s::jsonb[],
                %(version_ids)s::uuid[], %(kinds)s::text[])
         WITH ORDINALITY AS u (url, url_key, host, external_id, metadata, version_id, kind, position)
), marked AS (
    SELECT *, first_value(id) OVER (PARTITION BY url_key ORDER BY position) AS first_id
    FROM given
), items AS (
    INSERT INTO cixml.job_items (id, job_id, caller_id, corpus_id, ordinal, url, url_key, host, external_id, metadata,
                                 start_stage, document_id, document_version_id, bytes,
                                 status, duplicate_of, finished_at, ended_version, kind, depth, created_at)
    SELECT m.id, j.id, j.caller_id, j.corpus_id, m.position - 1, m.url, m.url_key, m.host, m.external_id, m.metadata,
           CASE WHEN m.version_id IS NULL THEN 'scraping' ELSE 'chunking' END, v.document_id, v.id,
           coalesce(v.body_bytes, 0),
           CASE WHEN m.id = m.first_id THEN 'queued' ELSE 'skipped' END,
           nullif(m.first_id, m.id),
           CASE WHEN m.id <> m.first_id THEN now() END,
           CASE WHEN m.id <> m.first_id THEN j.version END,
           m.kind, CASE WHEN j.crawl IS NOT NULL AND m.id = m.first_id AND m.version_id IS NULL THEN 0 END,
           clock_timestamp() -- after the corpus's lock: now() may be from before a deletion that it waited for
    FROM cixml.jobs j CROSS JOIN marked m
    LEFT JOIN cixml.document_versions v ON v.id = m.version_id
    WHERE j.id = %(job_id)s
    ORDER BY m.position
    RETURNING id, caller_id, corpus_id, url_key, host, status, start_stage
)
INSERT INTO cixml.work_queue (item_id, caller_id, corpus_id, url_key, host, stage)
SELECT id, caller_id, corpus_id, url_key, host, start_stage
FROM items
WHERE status = 'queued'
