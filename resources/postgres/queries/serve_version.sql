UPDATE cixml.index_versions SET state = 'serving', state_changed_at = now() WHERE id = %(index_version_id)s
