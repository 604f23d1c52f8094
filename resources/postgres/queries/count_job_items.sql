-- One row when the job is there for this caller, none otherwise.
SELECT (SELECT count(*) FROM cixml.job_items i
        WHERE i.job_id = j.id AND (%(statuses)s::text[] IS NULL OR i.status = ANY (%(statuses)s)))
FROM cixml.jobs j
WHERE j.id = %(job_id)s
