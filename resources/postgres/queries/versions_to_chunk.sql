-- Largest first: the page that takes longest must not be the last to start.
SELECT w.item_id, w.document_version_id, w.corpus_id, w.url_key
FROM cixml.batch_documents w
JOIN cixml.document_versions v ON v.id = w.document_version_id
WHERE w.batch_id = %(batch_id)s AND NOT EXISTS (
    SELECT 1 FROM cixml.chunk_sets s
    WHERE s.document_version_id = w.document_version_id AND s.chunking_fp = %(chunking_fp)s)
ORDER BY v.body_bytes DESC
