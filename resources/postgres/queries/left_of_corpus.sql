-- What there still is of a deleted corpus, by layer; each is found by an index on the corpus.
SELECT layer, number FROM (
    SELECT 'documents' AS layer, count(*) AS number FROM cixml.documents WHERE corpus_id = %(corpus_id)s
    UNION ALL SELECT 'chunk_sets', count(*) FROM cixml.chunk_sets WHERE corpus_id = %(corpus_id)s
    UNION ALL SELECT 'chunks', count(*) FROM cixml.chunks WHERE corpus_id = %(corpus_id)s
    UNION ALL SELECT 'index_versions', count(*) FROM cixml.index_versions WHERE corpus_id = %(corpus_id)s
    UNION ALL SELECT 'labels', count(*) FROM cixml.labels WHERE corpus_id = %(corpus_id)s
    UNION ALL SELECT 'items', count(*) FROM cixml.work_queue WHERE corpus_id = %(corpus_id)s
    UNION ALL SELECT 'leases', count(*) FROM cixml.leases WHERE corpus_id = %(corpus_id)s
    UNION ALL SELECT 'grants', count(*) FROM cixml.grants WHERE corpus_id = %(corpus_id)s
) AS layers
WHERE number > 0
