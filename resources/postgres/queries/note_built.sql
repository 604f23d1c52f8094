UPDATE cixml.index_versions SET built_rows = %(rows)s, merged_rows = 0, dead_rows = 0 WHERE id = %(index_version_id)s
