-- `is_gone`: nobody fetched the page since it was reported. What was put off is tried when its time has come.
SELECT r.item_id, r.document_id, r.corpus_id, r.caller_id, j.traceparent,
       CASE WHEN c.owner = r.caller_id THEN c.name ELSE c.owner || ':' || c.name END AS address,
       c.deleted_at IS NULL AND EXISTS (
           SELECT FROM cixml.documents d
           WHERE d.id = r.document_id AND d.deleted_at IS NULL AND d.checked_at <= r.removed_at) AS is_gone
FROM cixml.removed_pages r
JOIN cixml.corpora c ON c.id = r.corpus_id
LEFT JOIN cixml.job_items i ON i.id = r.item_id
LEFT JOIN cixml.jobs j ON j.id = i.job_id
WHERE r.ready_at <= now()
ORDER BY r.item_id
LIMIT 1
FOR UPDATE OF r SKIP LOCKED
