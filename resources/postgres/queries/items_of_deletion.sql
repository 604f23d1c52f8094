-- A slice of the items that wait for what a receipt deletes: all of its corpus, or those of its documents' pages that were
-- submitted before.
SELECT q.item_id FROM cixml.work_queue q WHERE q.corpus_id = %(whole_corpus)s
UNION ALL
SELECT q.item_id
FROM cixml.documents d
JOIN cixml.work_queue q ON q.corpus_id = d.corpus_id AND q.url_key = d.deleted_url_key
JOIN cixml.job_items i ON i.id = q.item_id AND i.created_at < d.deleted_at
WHERE d.receipt_id = %(receipt_id)s
LIMIT %(limit)s
