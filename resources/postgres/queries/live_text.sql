-- The text layer of a document's live version. It stays where it is when the caller knows its hash.
SELECT 'text/plain' AS content_type, 'utf-8' AS charset, encode(v.text_sha256, 'hex') AS sha256,
       CASE WHEN encode(v.text_sha256, 'hex') = ANY (%(known)s) THEN NULL ELSE convert_to(v.text, 'UTF8') END AS body
FROM cixml.corpora c
JOIN cixml.documents d ON d.corpus_id = c.id
JOIN cixml.document_versions v ON v.id = d.live_version_id
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
  AND d.id = %(document_id)s AND d.deleted_at IS NULL AND v.text IS NOT NULL
