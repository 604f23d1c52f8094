-- When a crawl by sitemap is over: what the same crawl found before and no sitemap names now is gone. Nothing is where a
-- sitemap could not be read or pages were left out. Each becomes an item that has ended, and its document is to be deleted.
WITH over AS (
    SELECT j.id, j.corpus_id, j.caller_id, j.items_total, j.version, f.id AS former_id
    FROM cixml.jobs j
    CROSS JOIN LATERAL (
        SELECT p.id FROM cixml.jobs p
        WHERE p.corpus_id = j.corpus_id AND p.caller_id = j.caller_id AND p.crawl = j.crawl AND p.id < j.id
          AND p.parent_job_id IS NULL AND p.status IN ('succeeded', 'partial')
        ORDER BY p.id DESC LIMIT 1
    ) f
    WHERE j.id = ANY (%(job_ids)s::uuid[]) AND j.crawl ->> 'mode' = 'sitemap' AND j.parent_job_id IS NULL
      AND j.status IN ('succeeded', 'partial') AND j.pages_left_out = 0
      AND NOT EXISTS (SELECT FROM cixml.job_items s WHERE s.job_id = j.id AND s.kind = 'sitemap' AND s.status <> 'skipped')
), gone AS (
    SELECT o.id AS job_id, o.caller_id, o.corpus_id, o.version, d.id AS document_id, i.url, i.url_key, i.host,
           o.items_total + row_number() OVER (PARTITION BY o.id ORDER BY i.ordinal) - 1 AS ordinal
    FROM over o
    JOIN cixml.job_items i ON i.job_id = o.former_id AND i.kind = 'page' AND i.depth > 0
    JOIN cixml.documents d ON d.corpus_id = o.corpus_id AND d.url_key = i.url_key AND d.live_version_id IS NOT NULL
    WHERE NOT EXISTS (
        SELECT FROM cixml.job_items n WHERE n.job_id = o.id AND n.url_key = i.url_key AND n.depth IS NOT NULL)
), reported AS (
    INSERT INTO cixml.job_items (job_id, caller_id, corpus_id, ordinal, url, url_key, host, status, change, document_id, depth,
                                 finished_at, ended_version)
    SELECT job_id, caller_id, corpus_id, ordinal, url, url_key, host, 'skipped', 'removed', document_id, 1, now(), version
    FROM gone
    RETURNING id, job_id, document_id, corpus_id, caller_id
), queued AS (
    INSERT INTO cixml.removed_pages (item_id, document_id, corpus_id, caller_id)
    SELECT id, document_id, corpus_id, caller_id FROM reported
)
UPDATE cixml.jobs j
SET items_total = j.items_total + r.items, items_good = j.items_good + r.items
FROM (SELECT job_id, count(*) AS items FROM reported GROUP BY job_id) r WHERE j.id = r.job_id
