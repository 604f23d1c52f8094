-- One row when the job is there for this caller, none otherwise.
SELECT (SELECT count(*) FROM cixml.job_items i
        WHERE i.job_id = j.id AND (%(statuses)s::text[] IS NULL OR i.status = ANY (%(statuses)s))
          AND (%(failed_stages)s::text[] IS NULL OR i.failed_stage = ANY (%(failed_stages)s))
          AND (%(codes)s::text[] IS NULL OR i.error ->> 'code' = ANY (%(codes)s)))
FROM cixml.jobs j
WHERE j.id = %(job_id)s
