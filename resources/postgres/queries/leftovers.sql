-- Retired versions whose vectors are still there.
SELECT id FROM cixml.index_versions
WHERE corpus_id = %(corpus_id)s AND state = 'retired' AND released_at IS NULL
ORDER BY id
