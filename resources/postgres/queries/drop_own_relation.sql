SELECT cixml.drop_own_relation(%(index_version_id)s)
