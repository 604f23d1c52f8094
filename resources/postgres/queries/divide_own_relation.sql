SELECT cixml.divide_own_relation(%(index_version_id)s)
