-- Live chunks of more tokens than a model takes, and all.
SELECT count(*) FILTER (WHERE c.token_count > %(window_tokens)s) AS long, count(*) AS all
FROM cixml.documents d
JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
JOIN cixml.chunks c ON c.chunk_set_id = s.id
WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
