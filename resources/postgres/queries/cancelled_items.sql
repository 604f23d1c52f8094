-- Items of a batch, or of these few of it, that are not to be worked on: their job is being cancelled, or their document was
-- deleted after they were submitted. And how they end.
SELECT l.item_id, CASE WHEN j.status = 'cancelling' THEN 'cancelled' ELSE 'skipped' END AS status
FROM cixml.leases l JOIN cixml.job_items i ON i.id = l.item_id JOIN cixml.jobs j ON j.id = i.job_id
WHERE l.batch_id = %(batch_id)s
  AND (j.status = 'cancelling'
       OR EXISTS (SELECT FROM cixml.documents g WHERE g.corpus_id = i.corpus_id AND g.deleted_url_key = i.url_key
                  AND g.deleted_at > i.created_at))
  AND (%(item_ids)s::uuid[] IS NULL OR l.item_id = ANY (%(item_ids)s::uuid[]))
