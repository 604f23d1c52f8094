SELECT cixml.make_own_relation(%(index_version_id)s)
