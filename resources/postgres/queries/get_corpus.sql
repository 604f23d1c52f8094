SELECT c.name, c.partition_key, c.created_at, v.id AS index_version, m.name AS model, v.kind, v.chunking, n.*
FROM cixml.corpora c
LEFT JOIN cixml.index_versions v ON v.corpus_id = c.id AND v.state = 'serving'
LEFT JOIN cixml.models m ON m.id = v.model_id
CROSS JOIN LATERAL (
    SELECT count(*) AS documents, coalesce(sum(s.chunk_count), 0)::bigint AS chunks,
           min(d.checked_at) AS oldest_check_at, max(d.checked_at) AS newest_check_at
    FROM cixml.documents d
    LEFT JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = v.chunking_fp
    WHERE d.corpus_id = c.id AND d.live_version_id IS NOT NULL AND d.deleted_at IS NULL
) n
WHERE c.owner = cixml.caller() AND c.deleted_at IS NULL
  AND c.name = %(name)s
