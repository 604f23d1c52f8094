-- They were found by other labels.
UPDATE cixml.index_versions SET comparison = NULL
WHERE corpus_id = %(corpus_id)s AND state <> 'serving' AND comparison IS NOT NULL
