-- Its run says itself that it is gone: the next look of the reaper takes it over.
UPDATE cixml.batches SET lease_until = now() - interval '1 second' WHERE id = %(batch_id)s AND finished_at IS NULL
