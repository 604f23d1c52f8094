-- Freezes the text layer of a version: chunks are offsets into it, so it is written once. A title that was pushed stays.
UPDATE cixml.document_versions
SET text = %(text)s, text_sha256 = sha256(convert_to(%(text)s, 'UTF8')), title = coalesce(title, %(title)s),
    language = %(language)s, extractor = %(extractor)s, coverage = %(coverage)s, published_at = %(published_at)s
WHERE id = %(document_version_id)s AND text IS NULL
