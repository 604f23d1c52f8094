-- First statement of every write: the reaper passes by a batch that holds this lock, and a late writer finds no row. Nor does
-- a writer whose corpus is deleted.
SELECT 1 FROM cixml.batches b JOIN cixml.corpora c ON c.id = b.corpus_id AND c.deleted_at IS NULL
WHERE b.id = %(batch_id)s AND b.run_id = %(run_id)s AND b.state = 'running'
FOR KEY SHARE OF b
