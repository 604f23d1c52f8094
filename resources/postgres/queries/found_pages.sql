-- Which of these items a crawl found, of pages that are new in the corpus: what others of the corpus say already, they are not
-- to repeat. The last of the job comes first, so that of several the first stays.
SELECT i.id
FROM cixml.job_items i
JOIN cixml.documents d ON d.id = i.document_id
WHERE i.id = ANY (%(item_ids)s::uuid[]) AND i.depth > 0 AND i.finished_at IS NULL AND d.live_version_id IS NULL
ORDER BY i.job_id, i.ordinal DESC
