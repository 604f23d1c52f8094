-- No row when the caller has no such job.
SELECT status FROM cixml.jobs WHERE id = %(job_id)s AND caller_id = %(caller_id)s FOR NO KEY UPDATE
