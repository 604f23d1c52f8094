SELECT run_id, bool_and(finished_at IS NOT NULL) AS is_over, max(finished_at) AS finished_at
FROM cixml.batches WHERE run_id = ANY (%(run_ids)s) GROUP BY run_id
