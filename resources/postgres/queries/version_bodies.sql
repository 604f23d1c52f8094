-- Bytes are read for versions without a text layer alone: a layer is frozen, and cut anew as it stands; unless pages are to
-- be read anew.
SELECT v.id AS document_version_id, v.final_url, v.content_type, v.charset,
       CASE WHEN v.text IS NULL OR %(from_raw)s THEN b.body END AS body,
       CASE WHEN %(from_raw)s THEN NULL ELSE v.text END AS text, v.title, v.language, v.coverage, v.extractor,
       v.published_at, c.exclusions
FROM cixml.document_versions v JOIN cixml.page_bodies b ON b.sha256 = v.body_sha256
JOIN cixml.corpora c ON c.id = v.corpus_id
WHERE v.id = ANY (%(version_ids)s::uuid[])
