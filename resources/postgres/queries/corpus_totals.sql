SELECT count(*) AS documents, coalesce(sum(s.chunk_count), 0)::bigint AS chunks, coalesce(sum(s.token_count), 0)::bigint AS tokens,
       count(*) FILTER (WHERE s.id IS NULL) AS without_chunks, min(d.checked_at) AS oldest_check,
       avg(v.coverage)::float8 AS coverage,
       coalesce(md5(string_agg(v.text_sha256::text, '' ORDER BY d.id)), '') AS digest
FROM cixml.documents d
JOIN cixml.document_versions v ON v.id = d.live_version_id
LEFT JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = %(chunking_fp)s
WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
