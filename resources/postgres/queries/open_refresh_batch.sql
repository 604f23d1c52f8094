-- A refresh is a job of the corpus's owner whose items the run leases at once: progress, errors and usage as for any job.
WITH corpus AS MATERIALIZED (
    SELECT id, owner FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
), due AS (
    SELECT d.id, d.url, d.url_key, d.host, d.external_id, d.metadata, c.owner,
           row_number() OVER (ORDER BY d.checked_at, d.id) - 1 AS ordinal
    FROM corpus c JOIN cixml.documents d ON d.corpus_id = c.id
    WHERE d.deleted_at IS NULL AND d.live_version_id IS NOT NULL AND d.url IS NOT NULL
      AND d.checked_at < now() - make_interval(secs => %(older_than_seconds)s)
      AND NOT EXISTS (SELECT 1 FROM cixml.leases l
                      WHERE l.corpus_id = d.corpus_id AND l.url_key = d.url_key AND l.work = 'ingest')
      AND NOT EXISTS (SELECT 1 FROM cixml.work_queue q WHERE q.corpus_id = d.corpus_id AND q.url_key = d.url_key)
    ORDER BY d.checked_at, d.id LIMIT %(limit)s
), job AS (
    INSERT INTO cixml.jobs (caller_id, corpus_id, status, items_total, items_open, started_at)
    SELECT owner, %(corpus_id)s, 'running', count(*), count(*), now() FROM due GROUP BY owner
    RETURNING id
), batch AS (
    INSERT INTO cixml.batches (kind, corpus_id, run_id, state, items, started_at, lease_until)
    SELECT 'refresh', %(corpus_id)s, %(run_id)s, 'running', (SELECT count(*) FROM due), now(),
           now() + make_interval(secs => %(lease_seconds)s)
    FROM job
    RETURNING id
), items AS (
    INSERT INTO cixml.job_items (job_id, caller_id, corpus_id, ordinal, url, url_key, host, external_id, metadata, status,
        attempts, batch_id, started_at)
    SELECT j.id, owner, %(corpus_id)s, ordinal, url, url_key, host, external_id, metadata, 'scraping', 1, b.id, now()
    FROM due, job j, batch b
    RETURNING id, url_key, caller_id
), leased AS (
    INSERT INTO cixml.leases (corpus_id, url_key, work, batch_id, item_id, caller_id)
    SELECT %(corpus_id)s, i.url_key, 'ingest', b.id, i.id, i.caller_id FROM items i, batch b
)
SELECT id AS batch_id FROM batch
