-- The corpus's relations of its own that are there still.
SELECT id, relation FROM cixml.index_versions
WHERE corpus_id = %(corpus_id)s AND kind = 'hnsw' AND to_regclass('cixml.' || quote_ident(relation)) IS NOT NULL
