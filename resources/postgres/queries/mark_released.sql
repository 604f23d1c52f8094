UPDATE cixml.index_versions SET released_at = now() WHERE id = %(index_version_id)s
