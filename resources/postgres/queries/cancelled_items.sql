-- Items of a batch, or of these few of it, whose job is being cancelled.
SELECT l.item_id
FROM cixml.leases l JOIN cixml.job_items i ON i.id = l.item_id JOIN cixml.jobs j ON j.id = i.job_id
WHERE l.batch_id = %(batch_id)s AND j.status = 'cancelling'
  AND (%(item_ids)s::uuid[] IS NULL OR l.item_id = ANY (%(item_ids)s::uuid[]))
