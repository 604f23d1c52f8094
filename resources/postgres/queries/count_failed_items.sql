-- Counting stops at the cap.
SELECT count(*) FROM (
    SELECT FROM cixml.job_items i
    WHERE i.failed_stage IS NOT NULL AND i.status = 'failed' AND i.retried_as IS NULL
      AND (%(owner)s::text IS NULL OR i.corpus_id IN (
          SELECT id FROM cixml.corpora WHERE owner = %(owner)s AND name = %(name)s AND deleted_at IS NULL))
      AND (%(failed_stages)s::text[] IS NULL OR i.failed_stage = ANY (%(failed_stages)s))
      AND (%(codes)s::text[] IS NULL OR i.error ->> 'code' = ANY (%(codes)s))
      AND (%(created_after)s::timestamptz IS NULL OR i.created_at > %(created_after)s)
    LIMIT %(cap)s
) found
