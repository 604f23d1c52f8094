-- Exact: the distance of every live chunk. Text is read for the winners alone. One row of nulls when nothing matches;
-- no row when this index version no longer serves the corpus (a flip, a deletion): look it up again.
-- Of a corpus without a graph after set_hashed_scan.sql. OFFSET 0 marks what is looked up by its key all the same: chunks of the
-- live sets alone, not of all that retention keeps, and what is told of the winners.
WITH places AS MATERIALIZED (
    SELECT d.id AS document_id, d.live_version_id AS version_id, k.*
    FROM cixml.documents d
    JOIN cixml.chunk_sets s ON s.document_version_id = d.live_version_id AND s.chunking_fp = %(chunking_fp)s
    CROSS JOIN LATERAL (SELECT k.chunk_set_id, k.ordinal, k.chunk_hash FROM cixml.chunks k WHERE k.chunk_set_id = s.id OFFSET 0) k
    WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
      AND (%(filter)s::jsonpath IS NULL OR EXISTS (
          SELECT FROM cixml.document_versions v
          WHERE v.id = d.live_version_id AND jsonb_path_exists(
              cixml.document_facts(d.url, d.external_id, v.language, v.fetched_at, v.published_at, d.metadata),
              %(filter)s::jsonpath, %(values)s, true)))
), candidates AS MATERIALIZED (
    SELECT p.document_id, p.version_id, p.chunk_set_id, p.ordinal, e.embedding <#> %(vector)b AS distance
    FROM places p
    JOIN {relation} e ON e.corpus_id = %(corpus_id)s AND e.chunk_hash = p.chunk_hash
), winners AS MATERIALIZED (
    SELECT * FROM candidates ORDER BY distance, chunk_set_id, ordinal LIMIT %(top_k)s
)
SELECT (SELECT count(*) FROM candidates) AS candidates, -w.distance AS score, k.chunk_id, d.id AS document_id, d.url, d.external_id, v.title,
       k.text, k.ordinal, k.start_offset, k.end_offset, v.id AS version_id, v.fetched_at, v.published_at, v.language, d.metadata
FROM cixml.index_versions x
CROSS JOIN LATERAL (SELECT FROM cixml.corpora c WHERE c.id = x.corpus_id AND c.deleted_at IS NULL OFFSET 0) c
LEFT JOIN (
    winners w
    CROSS JOIN LATERAL (SELECT * FROM cixml.chunks k WHERE k.chunk_set_id = w.chunk_set_id AND k.ordinal = w.ordinal OFFSET 0) k
    CROSS JOIN LATERAL (SELECT * FROM cixml.document_versions v WHERE v.id = w.version_id OFFSET 0) v
    CROSS JOIN LATERAL (SELECT * FROM cixml.documents d WHERE d.id = w.document_id OFFSET 0) d
) ON true
WHERE x.id = %(index_version)s AND x.state = 'serving'
ORDER BY w.distance, w.chunk_set_id, w.ordinal
