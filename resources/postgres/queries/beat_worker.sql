WITH stale AS (
    DELETE FROM cixml.workers WHERE seen_at < now() - interval '1 hour' AND id <> %(id)s
), beaten AS (
    INSERT INTO cixml.workers (id, queues, slots) VALUES (%(id)s, %(queues)s, %(slots)s)
    ON CONFLICT (id) DO UPDATE SET queues = excluded.queues, slots = excluded.slots, seen_at = now()
    RETURNING xmax = 0 AS is_new
)
SELECT pg_notify('cixml_jobs', '') FROM beaten WHERE is_new
