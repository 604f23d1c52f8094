-- What an open item of a crawling job names becomes items of the job: at most as many pages as the job and the caller's
-- quota leave room for, each URL once in the job and in those that it retries, of each family a bounded number. The caller
-- holds the job's lock, taken by a statement before: what is counted here does not move. Returns what was added and left out.
WITH RECURSIVE parent AS (
    SELECT i.id, i.job_id, i.caller_id, i.corpus_id, i.depth, j.items_total, j.pages_found, j.sitemaps_found, j.parent_job_id,
           (j.crawl ->> 'max_pages')::int AS max_pages
    FROM cixml.job_items i JOIN cixml.jobs j ON j.id = i.job_id
    WHERE i.id = %(parent_id)s AND i.finished_at IS NULL AND i.depth IS NOT NULL AND j.status <> 'cancelling'
), lineage AS (
    SELECT job_id, parent_job_id FROM parent
    UNION ALL
    SELECT j.id, j.parent_job_id FROM lineage l JOIN cixml.jobs j ON j.id = l.parent_job_id
), given AS (
    SELECT u.*, row_number() OVER (PARTITION BY u.family ORDER BY u.position) AS member
    FROM unnest(%(urls)s::text[], %(url_keys)s::text[], %(hosts)s::text[], %(kinds)s::text[], %(families)s::text[],
                %(family_urls)s::int[], %(depths)s::int[])
         WITH ORDINALITY AS u (url, url_key, host, kind, family, family_urls, depth, position)
    WHERE NOT EXISTS (SELECT FROM lineage l JOIN cixml.job_items o ON o.job_id = l.job_id
                      WHERE o.url_key = u.url_key AND o.depth IS NOT NULL)
), fresh AS (
    SELECT g.*, row_number() OVER (PARTITION BY g.kind ORDER BY g.position) AS place
    FROM given g, parent p
    WHERE g.family IS NULL OR g.member + (
        SELECT count(*) FROM cixml.job_items o WHERE o.job_id = p.job_id AND o.family = g.family) <= g.family_urls
), taken AS (
    SELECT f.*, row_number() OVER (ORDER BY f.position) AS number
    FROM fresh f, parent p
    WHERE CASE f.kind WHEN 'page' THEN f.place <= least(p.max_pages - p.pages_found, %(room)s)
                      ELSE f.place <= %(max_sitemaps)s - p.sitemaps_found END
), added AS (
    INSERT INTO cixml.job_items (job_id, caller_id, corpus_id, ordinal, url, url_key, host, kind, depth, parent_item_id, family)
    SELECT p.job_id, p.caller_id, p.corpus_id, p.items_total + t.number - 1, t.url, t.url_key, t.host, t.kind,
           coalesce(t.depth, p.depth + 1), p.id, t.family
    FROM taken t, parent p
    ORDER BY t.number
    RETURNING id, caller_id, corpus_id, url_key, host, kind
), queued AS (
    INSERT INTO cixml.work_queue (item_id, caller_id, corpus_id, url_key, host)
    SELECT id, caller_id, corpus_id, url_key, host FROM added
), tally AS (
    SELECT count(*) AS items, count(*) FILTER (WHERE kind = 'page') AS pages,
           (SELECT count(*) FROM fresh WHERE kind = 'page') AS wanted
    FROM added
), counted AS (
    UPDATE cixml.jobs j
    SET items_total = j.items_total + t.items, items_open = j.items_open + t.items,
        pages_found = j.pages_found + t.pages, sitemaps_found = j.sitemaps_found + t.items - t.pages,
        pages_left_out = j.pages_left_out + t.wanted - t.pages,
        version = j.version + CASE WHEN t.items > 0 THEN 1 ELSE 0 END
    FROM tally t, parent p WHERE j.id = p.job_id AND (t.items > 0 OR t.wanted > 0)
)
SELECT t.pages, t.items - t.pages AS sitemaps, t.wanted - t.pages AS left_out FROM tally t, parent
