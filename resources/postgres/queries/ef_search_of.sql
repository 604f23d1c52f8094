SELECT ef_search FROM cixml.index_versions WHERE id = %(index_version_id)s
