SELECT id FROM cixml.batches
WHERE finished_at IS NULL AND state = 'claimed' AND lease_until > now()
  AND created_at < now() - make_interval(secs => %(seconds)s)
ORDER BY id
