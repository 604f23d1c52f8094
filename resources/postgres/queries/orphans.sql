-- What deleted corpora whose receipts are done have left: none, if all is well. Bytes that no version has are there for a
-- while when versions have aged, until retention comes by.
WITH gone AS MATERIALIZED (
    SELECT c.id FROM cixml.corpora c
    WHERE c.deleted_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM cixml.receipts r WHERE r.corpus_id = c.id AND r.finished_at IS NULL)
)
SELECT 'cixml_orphans' AS metric, layer AS label, number::float8 AS number
FROM (
    SELECT 'documents' AS layer, (SELECT count(*) FROM cixml.documents WHERE corpus_id IN (SELECT id FROM gone)) AS number
    UNION ALL SELECT 'document_versions', (SELECT count(*) FROM cixml.document_versions WHERE corpus_id IN (SELECT id FROM gone))
    UNION ALL SELECT 'chunk_sets', (SELECT count(*) FROM cixml.chunk_sets WHERE corpus_id IN (SELECT id FROM gone))
    UNION ALL SELECT 'index_versions', (SELECT count(*) FROM cixml.index_versions WHERE corpus_id IN (SELECT id FROM gone))
    UNION ALL SELECT 'page_bodies', (SELECT count(*) FROM cixml.page_bodies b
        WHERE NOT EXISTS (SELECT FROM cixml.document_versions v WHERE v.body_sha256 = b.sha256))
) counted
