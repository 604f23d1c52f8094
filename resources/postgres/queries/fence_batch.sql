-- First statement of every write: the reaper passes by a batch that holds this lock, and a late writer finds no row.
SELECT 1 FROM cixml.batches WHERE id = %(batch_id)s AND run_id = %(run_id)s AND state = 'running' FOR KEY SHARE
