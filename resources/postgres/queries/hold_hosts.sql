-- Of each host the longest pause, in the order of their names: two runs that hold the same hosts would wait crosswise.
INSERT INTO cixml.hosts (host, not_before, reason)
SELECT DISTINCT ON (i.host) i.host, now() + make_interval(secs => w.seconds), w.reason
FROM unnest(%(item_ids)s::uuid[], %(seconds)s::float8[], %(reasons)s::text[]) AS w (item_id, seconds, reason)
JOIN cixml.job_items i ON i.id = w.item_id
ORDER BY i.host, w.seconds DESC
ON CONFLICT (host) DO UPDATE SET not_before = greatest(cixml.hosts.not_before, excluded.not_before), reason = excluded.reason
