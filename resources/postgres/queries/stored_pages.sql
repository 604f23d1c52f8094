-- The bytes of some versions, whether they have become a text layer or not.
SELECT v.id AS document_version_id, v.content_type, v.charset, b.body
FROM cixml.document_versions v JOIN cixml.page_bodies b ON b.sha256 = v.body_sha256
WHERE v.id = ANY (%(version_ids)s::uuid[])
