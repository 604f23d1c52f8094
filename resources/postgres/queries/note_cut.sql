-- Texts are cut from here on.
UPDATE cixml.index_versions SET filling_since = now(), documents_total = %(documents)s, documents_cut = %(documents_cut)s
WHERE id = %(index_version_id)s AND state <> 'serving'
