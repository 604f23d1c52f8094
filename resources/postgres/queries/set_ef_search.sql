UPDATE cixml.index_versions SET ef_search = %(ef_search)s WHERE id = %(index_version_id)s
