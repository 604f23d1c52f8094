-- Gives document versions the text that the new version's chunks were cut from, and keeps the one they had for the old one's.
WITH kept AS (
    DELETE FROM cixml.kept_texts k WHERE k.corpus_id = %(corpus_id)s AND k.chunking_fp = %(new_fp)s
    RETURNING k.*
), old AS MATERIALIZED (
    SELECT v.id, v.corpus_id, v.text, v.language, v.extractor, v.coverage
    FROM cixml.document_versions v JOIN kept k ON k.document_version_id = v.id
), stored AS (
    INSERT INTO cixml.kept_texts (chunking_fp, document_version_id, corpus_id, text, language, extractor, coverage)
    SELECT %(old_fp)s, o.id, o.corpus_id, o.text, o.language, o.extractor, o.coverage FROM old o
    ON CONFLICT DO NOTHING
)
UPDATE cixml.document_versions v
SET text = k.text, text_sha256 = sha256(convert_to(k.text, 'UTF8')), language = k.language, extractor = k.extractor,
    coverage = k.coverage
FROM kept k WHERE v.id = k.document_version_id
