SELECT version, finished_at IS NOT NULL AS is_over FROM cixml.jobs WHERE id = %(job_id)s
