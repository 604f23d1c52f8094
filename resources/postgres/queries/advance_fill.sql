UPDATE cixml.index_versions
SET documents_done = documents_done + %(documents)s, chunks_done = chunks_done + %(chunks)s
WHERE id = %(index_version_id)s AND state <> 'serving'
