-- The text of a page read again, where it differs from the one that its version has.
INSERT INTO cixml.kept_texts (chunking_fp, document_version_id, corpus_id, text, language, extractor, coverage)
SELECT %(chunking_fp)s, v.id, v.corpus_id, %(text)s, %(language)s, %(extractor)s, %(coverage)s
FROM cixml.document_versions v
WHERE v.id = %(document_version_id)s AND v.text IS DISTINCT FROM %(text)s
ON CONFLICT DO NOTHING
