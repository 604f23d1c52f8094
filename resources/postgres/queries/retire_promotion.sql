-- The copy of what no longer serves: it would never be flipped.
UPDATE cixml.index_versions SET state = 'retired', state_changed_at = now()
WHERE corpus_id = %(corpus_id)s AND state = 'building' AND fill_from IS NULL
