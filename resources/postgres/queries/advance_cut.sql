UPDATE cixml.index_versions SET documents_cut = documents_cut + %(documents)s
WHERE id = %(index_version_id)s AND state <> 'serving'
