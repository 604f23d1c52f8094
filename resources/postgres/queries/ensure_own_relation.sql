-- Nothing to do for a version in a shared relation, and for one that is built already.
SELECT cixml.ensure_own_relation(v.id) FROM cixml.index_versions v
WHERE v.id = %(index_version_id)s AND v.kind = 'hnsw' AND v.state = 'building' AND v.fill_from IS NOT NULL
