-- The lock of lock_quota, for a run that adds pages to a caller's jobs: submissions wait for it, and it for them.
SELECT pg_advisory_xact_lock(hashtextextended('cixml quota ' || %(caller_id)s, 0))
