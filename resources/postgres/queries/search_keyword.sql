-- By the words of the question: chunks come best first, and the walk goes on until enough of them are live and pass the filter.
-- `is_bounded`: rows may be missing, see cixml.keyword_matches; else, with a filter, all chunk sets that pass it are looked at.
-- With a filter the 500 best are asked first: what passes a narrow one is found sooner by reading what passes it.
-- Rows as search_exact's.
WITH found AS MATERIALIZED (
    SELECT * FROM cixml.keyword_matches(
        %(corpus_id)s, %(chunking_fp)s, %(mark)s, %(words)s, %(lexemes)s, %(languages)s, %(dictionaries)s, %(is_bounded)s,
        CASE WHEN NOT %(is_bounded)s AND %(filter)s::jsonpath IS NOT NULL THEN ARRAY(
            SELECT s.id
            FROM cixml.documents d
            JOIN cixml.document_versions v ON v.id = d.live_version_id
            JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = %(chunking_fp)s
            WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL AND (%(filter)s::jsonpath IS NULL OR jsonb_path_exists(
                cixml.document_facts(d.url, d.external_id, v.language, v.fetched_at, v.published_at, d.metadata), %(filter)s::jsonpath, %(values)s, true))
        ) END)
    ORDER BY score DESC, chunk_set_id, ordinal
    LIMIT CASE WHEN %(is_bounded)s AND %(filter)s::jsonpath IS NOT NULL THEN 500 END
)
SELECT coalesce(l.chunks, 0) AS candidates, w.*
FROM cixml.index_versions x
JOIN cixml.corpora c ON c.id = x.corpus_id AND c.deleted_at IS NULL
LEFT JOIN cixml.corpus_levels l ON l.corpus_id = x.corpus_id AND l.chunking_fp = x.chunking_fp
LEFT JOIN (
    SELECT m.score, m.is_complete AND (NOT %(is_bounded)s OR %(filter)s::jsonpath IS NULL OR (SELECT count(*) FROM found) < 500) AS is_complete,
           live.*
    FROM found m
    CROSS JOIN LATERAL (
        SELECT k.chunk_id, d.id AS document_id, d.url, d.external_id, v.title, k.text, k.ordinal, k.start_offset, k.end_offset,
               v.id AS version_id, v.fetched_at, v.published_at, v.language, d.metadata
        FROM cixml.chunks k
        JOIN cixml.chunk_sets s ON s.id = k.chunk_set_id AND s.chunking_fp = %(chunking_fp)s
        JOIN cixml.document_versions v ON v.id = s.document_version_id
        JOIN cixml.documents d ON d.id = v.document_id AND d.live_version_id = v.id AND d.deleted_at IS NULL
        WHERE k.chunk_set_id = m.chunk_set_id AND k.ordinal = m.ordinal AND (%(filter)s::jsonpath IS NULL OR jsonb_path_exists(
              cixml.document_facts(d.url, d.external_id, v.language, v.fetched_at, v.published_at, d.metadata), %(filter)s::jsonpath, %(values)s, true))
        OFFSET 0
    ) live
    ORDER BY m.score DESC, m.chunk_set_id, m.ordinal
    LIMIT %(top_k)s
) w ON true
WHERE x.id = %(index_version)s AND x.state = 'serving'
ORDER BY w.score DESC, w.document_id, w.ordinal
