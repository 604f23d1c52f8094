UPDATE cixml.batches SET lease_until = now() + make_interval(secs => %(lease_seconds)s)
WHERE id = %(batch_id)s AND run_id = %(run_id)s AND state = 'running'
  AND EXISTS (SELECT FROM cixml.corpora c WHERE c.id = corpus_id AND c.deleted_at IS NULL)
