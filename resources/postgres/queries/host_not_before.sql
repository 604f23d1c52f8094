INSERT INTO cixml.hosts (host, not_before, reason)
SELECT host, now() + make_interval(secs => %(seconds)s), %(reason)s FROM cixml.job_items WHERE id = %(item_id)s
ON CONFLICT (host) DO UPDATE SET not_before = greatest(cixml.hosts.not_before, excluded.not_before), reason = excluded.reason
