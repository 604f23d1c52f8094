UPDATE cixml.index_versions SET state = 'retired', state_changed_at = now()
WHERE corpus_id = %(corpus_id)s AND state <> 'retired'
