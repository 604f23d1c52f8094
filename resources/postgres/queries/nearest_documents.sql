-- Documents of the nearest chunks by an index version that need not serve, exactly, the nearest first.
SELECT document_id FROM (
    SELECT d.id AS document_id, min(e.embedding <#> %(vector)b) AS distance
    FROM cixml.documents d
    JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
    JOIN cixml.chunks k ON k.chunk_set_id = s.id
    JOIN {relation} e ON e.corpus_id = %(corpus_id)s AND e.chunk_hash = k.chunk_hash
    WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
    GROUP BY d.id
) near
ORDER BY distance, document_id LIMIT %(top_k)s
