-- The item of the same crawl that has the key, unless it has ended without a document.
SELECT o.id
FROM cixml.job_items i
JOIN cixml.job_items o ON o.job_id = i.job_id AND o.url_key = %(url_key)s AND o.depth IS NOT NULL
WHERE i.id = %(item_id)s AND o.id <> i.id AND o.status NOT IN ('failed', 'skipped', 'cancelled')
