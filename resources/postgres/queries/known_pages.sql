-- What the same crawl found before and the corpus still has: a page that is linked no more is looked at, too.
SELECT i.url, i.url_key, i.host, i.kind, i.depth, i.family, %(family_urls)s AS family_urls
FROM cixml.job_items own
JOIN cixml.jobs j ON j.id = own.job_id AND j.parent_job_id IS NULL
CROSS JOIN LATERAL (
    SELECT p.id FROM cixml.jobs p
    WHERE p.corpus_id = j.corpus_id AND p.caller_id = j.caller_id AND p.crawl = j.crawl AND p.id < j.id
      AND p.parent_job_id IS NULL AND p.status IN ('succeeded', 'partial')
    ORDER BY p.id DESC LIMIT 1
) f
JOIN cixml.job_items i ON i.job_id = f.id AND i.kind = 'page' AND i.depth > 0
JOIN cixml.documents d ON d.corpus_id = j.corpus_id AND d.url_key = i.url_key AND d.live_version_id IS NOT NULL
WHERE own.id = %(item_id)s
ORDER BY i.depth, i.ordinal
