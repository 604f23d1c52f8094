UPDATE cixml.index_versions
SET built_bytes_a_row = pg_total_relation_size(to_regclass('cixml.' || quote_ident(relation))) / greatest(1, %(rows)s)
WHERE id = %(index_version_id)s
