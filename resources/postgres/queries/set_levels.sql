-- What is live, as the new serving version cuts it; flips of documents keep it from here on.
INSERT INTO cixml.corpus_levels AS l (corpus_id, chunking_fp, documents, chunks, tokens, digest)
SELECT %(corpus_id)s, %(chunking_fp)s, count(*), coalesce(sum(s.chunk_count), 0), coalesce(sum(s.token_count), 0),
       coalesce(sum(cixml.content_digest(d.url_key, v.text_sha256)), 0)
FROM cixml.documents d
JOIN cixml.document_versions v ON v.id = d.live_version_id
JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = %(chunking_fp)s
WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
ON CONFLICT (corpus_id, chunking_fp) DO UPDATE
SET documents = excluded.documents, chunks = excluded.chunks, tokens = excluded.tokens, digest = excluded.digest,
    changed_at = now(), findings = NULL, checked_at = NULL, counted_chunks = NULL
