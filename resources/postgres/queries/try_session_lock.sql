-- A session's lock counts how often it was taken: ask first whether it is ours already.
SELECT CASE
    WHEN EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
                 AND ((classid::bigint << 32) | objid::bigint) = %(key)s) THEN true
    ELSE pg_try_advisory_lock(%(key)s)
END
