-- The stored bytes of a document's live version. They stay where they are when the caller knows their hash.
SELECT v.content_type, v.charset, encode(v.body_sha256, 'hex') AS sha256,
       CASE WHEN encode(v.body_sha256, 'hex') = ANY (%(known)s) THEN NULL ELSE b.body END AS body
FROM cixml.corpora c
JOIN cixml.documents d ON d.corpus_id = c.id
JOIN cixml.document_versions v ON v.id = d.live_version_id
JOIN cixml.page_bodies b ON b.sha256 = v.body_sha256
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
  AND d.id = %(document_id)s AND d.deleted_at IS NULL
