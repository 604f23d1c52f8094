UPDATE cixml.index_versions SET error = %(error)s
WHERE id = %(index_version_id)s AND state IN ('building', 'ready')
