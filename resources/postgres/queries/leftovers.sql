-- Retired versions whose vectors are still there, though they may not serve again.
SELECT id FROM cixml.index_versions
WHERE corpus_id = %(corpus_id)s AND state = 'retired' AND released_at IS NULL AND coalesce(drop_after, now()) <= now()
  AND NOT EXISTS (SELECT FROM cixml.leases b WHERE b.corpus_id = %(corpus_id)s AND b.work = index_versions.id::text)
ORDER BY id
