SELECT cixml.build_hnsw(%(index_version_id)s, %(m)s, %(ef_construction)s)
