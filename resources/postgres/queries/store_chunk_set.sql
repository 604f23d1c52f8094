INSERT INTO cixml.chunk_sets (document_version_id, corpus_id, chunking_fp, chunk_count, token_count, has_lexemes, batch_id)
SELECT id, corpus_id, %(chunking_fp)s, %(chunk_count)s, %(token_count)s, true, %(batch_id)s
FROM cixml.document_versions WHERE id = %(document_version_id)s FOR KEY SHARE -- no row: retention took it
ON CONFLICT (document_version_id, chunking_fp) DO NOTHING
RETURNING id
