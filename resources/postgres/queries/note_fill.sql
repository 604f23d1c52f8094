-- A run that begins again counts anew.
UPDATE cixml.index_versions
SET filling_since = now(), documents_total = %(documents)s, documents_cut = %(documents_cut)s,
    documents_done = %(documents)s - %(documents_missing)s,
    chunks_total = %(chunks)s, chunks_done = %(chunks)s - %(chunks_missing)s,
    chunks_reused = %(chunks)s - %(chunks_missing)s, error = NULL
WHERE id = %(index_version_id)s AND state <> 'serving'
