-- By the graph, and what is beside it in order of nearness: the scan goes on until enough of them belong to live chunks, up to
-- hnsw.max_scan_tuples. The filter is inside too, never after the LIMIT. Rows as search_exact's.
-- Where the graph is over less than the vectors, more are taken from it and the best kept.
SELECT l.chunks AS candidates, -w.distance AS score, w.*
FROM cixml.index_versions x
JOIN cixml.corpora c ON c.id = x.corpus_id AND c.deleted_at IS NULL
JOIN cixml.corpus_levels l ON l.corpus_id = x.corpus_id AND l.chunking_fp = x.chunking_fp
LEFT JOIN (
    SELECT * FROM (
        SELECT e.embedding <#> %(vector)b AS distance, live.*
        FROM {relation} e
        CROSS JOIN LATERAL (
            SELECT k.chunk_id, d.id AS document_id, d.url, d.external_id, v.title, k.text, k.ordinal, k.start_offset, k.end_offset,
                   v.id AS version_id, v.fetched_at, v.published_at, v.language, d.metadata
            FROM cixml.chunks k
            JOIN cixml.chunk_sets s ON s.id = k.chunk_set_id AND s.chunking_fp = %(chunking_fp)s
            JOIN cixml.document_versions v ON v.id = s.document_version_id
            JOIN cixml.documents d ON d.id = v.document_id AND d.live_version_id = v.id AND d.deleted_at IS NULL
            WHERE k.corpus_id = %(corpus_id)s AND k.chunk_hash = e.chunk_hash
              AND (%(filter)s::jsonpath IS NULL OR jsonb_path_exists(
                  cixml.document_facts(d.url, d.external_id, v.language, v.fetched_at, v.published_at, d.metadata),
                  %(filter)s::jsonpath, %(values)s, true))
            OFFSET 0  -- keeps the order of the scan: joined freely, the planner reads the whole corpus and sorts
        ) live
        ORDER BY {nearness}
        LIMIT %(near)s
    ) near
    ORDER BY distance
    LIMIT %(top_k)s
) w ON true
WHERE x.id = %(index_version)s AND x.state = 'serving'
ORDER BY w.distance, w.document_id, w.ordinal
