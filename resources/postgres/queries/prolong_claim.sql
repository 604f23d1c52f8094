-- The run that was asked for comes late. One that began meanwhile has a lease of its own.
UPDATE cixml.batches SET lease_until = greatest(lease_until, now() + make_interval(secs => %(seconds)s))
WHERE id = %(batch_id)s AND state = 'claimed' AND finished_at IS NULL
