-- It can't become whole: what it has goes with the next clearing up.
UPDATE cixml.index_versions SET state = 'retired', state_changed_at = now(), error = %(error)s, activate_at = NULL
WHERE id = %(index_version_id)s AND state IN ('building', 'ready')
