SELECT id AS batch_id, extract(epoch FROM now() - created_at)::float8 AS age_seconds
FROM cixml.batches
WHERE finished_at IS NULL AND state = 'claimed' AND lease_until > now()
  AND created_at < now() - make_interval(secs => %(seconds)s)
ORDER BY id
