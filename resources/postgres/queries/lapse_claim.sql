-- Ends the wait for a run that will not come: the reaper takes the batch at its next look. A run that began goes on.
UPDATE cixml.batches SET lease_until = now() WHERE id = %(batch_id)s AND state = 'claimed' AND finished_at IS NULL
