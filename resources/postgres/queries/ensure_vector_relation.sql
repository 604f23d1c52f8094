SELECT cixml.make_vector_relation(%(relation)s, %(dimension)s) WHERE to_regclass('cixml.' || %(relation)s) IS NULL
