SELECT status FROM cixml.jobs WHERE id = %(job_id)s AND caller_id = %(caller_id)s
