-- Which of these items name a page of their crawl that has ended without a document.
SELECT i.id
FROM unnest(%(item_ids)s::uuid[], %(url_keys)s::text[]) AS u (item_id, url_key)
JOIN cixml.job_items i ON i.id = u.item_id
JOIN cixml.job_items o ON o.job_id = i.job_id AND o.url_key = u.url_key AND o.depth IS NOT NULL
WHERE o.status IN ('failed', 'skipped', 'cancelled')
