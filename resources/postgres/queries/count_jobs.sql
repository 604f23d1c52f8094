-- Counting stops at the cap: a caller with a million jobs waits no longer than one with ten thousand.
SELECT count(*) FROM (
    SELECT FROM cixml.jobs j
    WHERE (%(statuses)s::text[] IS NULL OR j.status = ANY (%(statuses)s))
      AND (%(corpus)s::text IS NULL OR j.corpus_id IN (SELECT id FROM cixml.corpora WHERE name = %(corpus)s))
      AND (%(created_after)s::timestamptz IS NULL OR j.created_at > %(created_after)s)
      AND (%(created_before)s::timestamptz IS NULL OR j.created_at < %(created_before)s)
    LIMIT %(cap)s
) found
