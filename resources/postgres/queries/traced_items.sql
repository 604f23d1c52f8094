-- The items of batches with what their spans need: whose job they are of, where its trace is, since when they wait.
SELECT l.batch_id, l.item_id, i.job_id, coalesce(i.url, i.external_id, '') AS url, j.traceparent,
       p.traceparent AS parent_traceparent, c.name AS corpus_name, l.enqueued_at, b.created_at AS claimed_at, b.started_at
FROM cixml.leases l
JOIN cixml.batches b ON b.id = l.batch_id
JOIN cixml.corpora c ON c.id = b.corpus_id
JOIN cixml.job_items i ON i.id = l.item_id
JOIN cixml.jobs j ON j.id = i.job_id
LEFT JOIN cixml.jobs p ON p.id = j.parent_job_id
WHERE l.batch_id = ANY (%(batch_ids)s)
