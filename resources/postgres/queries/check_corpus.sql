-- Counts the whole of a corpus in one snapshot, also against the levels that flips keep.
WITH live AS MATERIALIZED (
    SELECT s.id AS chunk_set_id, s.chunk_count, s.token_count, d.checked_at, v.coverage,
           cixml.content_digest(d.url_key, v.text_sha256) AS digest
    FROM cixml.documents d
    JOIN cixml.document_versions v ON v.id = d.live_version_id
    JOIN cixml.chunk_sets s ON s.document_version_id = v.id AND s.chunking_fp = %(chunking_fp)s
    WHERE d.corpus_id = %(corpus_id)s AND d.deleted_at IS NULL
), total AS (
    SELECT count(*) AS documents, coalesce(sum(chunk_count), 0)::bigint AS chunks,
           coalesce(sum(token_count), 0)::bigint AS tokens,
           coalesce(sum(digest), 0) AS digest, coalesce(avg(coverage), 1)::float8 AS coverage,
           coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY coverage), 1)::float8 AS median_coverage,
           count(*) FILTER (WHERE coverage < %(low_coverage)s) AS pages_of_low_coverage,
           coalesce(extract(epoch FROM now() - min(checked_at)), 0)::float8 AS oldest_check_seconds
    FROM live
), hashes AS MATERIALIZED (
    SELECT c.chunk_hash, count(*) AS places, count(*) FILTER (WHERE c.token_count < 8) AS tiny
    FROM live l JOIN cixml.chunks c ON c.chunk_set_id = l.chunk_set_id
    GROUP BY c.chunk_hash
), chunk AS (
    SELECT coalesce(sum(h.places) FILTER (WHERE r.chunk_hash IS NULL), 0)::bigint AS chunks_without_vector,
           coalesce(1 - count(*) / nullif(sum(h.places), 0), 0)::float8 AS duplicate_ratio,
           coalesce(sum(h.tiny) / nullif(sum(h.places), 0), 0)::float8 AS tiny_ratio
    FROM hashes h
    LEFT JOIN {relation} r ON r.corpus_id = %(corpus_id)s AND r.chunk_hash = h.chunk_hash
), norms AS (
    SELECT l2_norm(embedding) AS norm FROM {relation} WHERE corpus_id = %(corpus_id)s LIMIT 100
)
SELECT chunk.*, total.coverage, total.median_coverage, total.pages_of_low_coverage, total.oldest_check_seconds,
       coalesce((SELECT max(abs(norm - 1)) FROM norms), 0)::float8 AS norm_error,
       (coalesce(l.documents, 0), coalesce(l.chunks, 0), coalesce(l.tokens, 0), coalesce(l.digest, 0))
           = (total.documents, total.chunks, total.tokens, total.digest) AS levels_agree
FROM chunk
CROSS JOIN total
LEFT JOIN cixml.corpus_levels l ON l.corpus_id = %(corpus_id)s AND l.chunking_fp = %(chunking_fp)s
