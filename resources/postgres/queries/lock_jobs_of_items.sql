-- In the order of their ids, so that two transactions that end items of the same jobs never wait for each other.
SELECT 1 FROM cixml.jobs
WHERE id IN (SELECT job_id FROM cixml.job_items WHERE id = ANY (%(item_ids)s::uuid[]))
ORDER BY id FOR NO KEY UPDATE
