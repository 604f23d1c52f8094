-- The jobs are locked before.
UPDATE cixml.jobs SET status = 'cancelling', version = version + 1
WHERE id IN (SELECT job_id FROM cixml.job_items WHERE id = ANY (%(item_ids)s::uuid[])) AND status IN ('queued', 'running')
