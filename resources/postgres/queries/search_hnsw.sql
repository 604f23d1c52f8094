-- By the graph, and what is beside it by a scan: of each what is nearest. In the graph vectors come nearest first, and the scan goes
-- on until enough of them belong to live chunks, up to hnsw.max_scan_tuples. The filter is inside too, never after the LIMIT.
-- Rows as search_exact's; `from_graph` says how many the graph gave: it was left early where they are fewer than asked for.
-- Where the graph is over less than the vectors, more are taken from it and the best kept. What is live is said by live_of_hash.sql.
SELECT l.chunks AS candidates, -w.distance AS score, w.*
FROM cixml.index_versions x
JOIN cixml.corpora c ON c.id = x.corpus_id AND c.deleted_at IS NULL
JOIN cixml.corpus_levels l ON l.corpus_id = x.corpus_id AND l.chunking_fp = x.chunking_fp
LEFT JOIN (
    SELECT near.*, count(*) FILTER (WHERE in_graph) OVER () AS from_graph FROM (
        (SELECT e.embedding <#> %(vector)b AS distance, true AS in_graph, live.*
         FROM ONLY {graph} e CROSS JOIN LATERAL ({live}) live ORDER BY {nearness} LIMIT %(near)s)
        UNION ALL
        (SELECT e.embedding <#> %(vector)b AS distance, false AS in_graph, live.*
         FROM ONLY {relation} e CROSS JOIN LATERAL ({live}) live ORDER BY {nearness} LIMIT %(near)s)
    ) near
    ORDER BY distance
    LIMIT %(top_k)s
) w ON true
WHERE x.id = %(index_version)s AND x.state = 'serving'
ORDER BY w.distance, w.document_id, w.ordinal
