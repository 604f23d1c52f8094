-- The total, then the sums by what is asked for; the rest is null. Policies show a caller its own rows, an operator all.
WITH grouped AS (
    SELECT CASE WHEN %(by_caller)s THEN u.caller_id END AS caller_id,
           CASE WHEN %(by_corpus)s THEN
               CASE WHEN u.corpus_owner = %(reader)s THEN u.corpus ELSE u.corpus_owner || ':' || u.corpus END END AS corpus,
           CASE WHEN %(by_model)s THEN u.model END AS model,
           CASE WHEN %(by_operation)s THEN u.operation END AS operation,
           CASE WHEN %(by_day)s THEN u.day END AS day,
           sum(u.pages)::bigint AS pages, sum(u.bytes)::bigint AS bytes, sum(u.chunks)::bigint AS chunks,
           sum(u.embedding_tokens)::bigint AS embedding_tokens, sum(u.cached_tokens)::bigint AS cached_tokens,
           sum(u.searches)::bigint AS searches
    FROM cixml.usage u
    WHERE u.day >= %(first)s AND u.day < %(end)s
    GROUP BY 1, 2, 3, 4, 5
), total AS (
    SELECT count(*) AS groups, coalesce(sum(pages), 0)::bigint AS pages, coalesce(sum(bytes), 0)::bigint AS bytes,
           coalesce(sum(chunks), 0)::bigint AS chunks, coalesce(sum(embedding_tokens), 0)::bigint AS embedding_tokens,
           coalesce(sum(cached_tokens), 0)::bigint AS cached_tokens, coalesce(sum(searches), 0)::bigint AS searches
    FROM grouped
)
(SELECT true AS is_total, groups, NULL::text AS caller_id, NULL::text AS corpus, NULL::text AS model,
        NULL::text AS operation, NULL::date AS day, pages, bytes, chunks, embedding_tokens, cached_tokens, searches
 FROM total)
UNION ALL
(SELECT false, 0, g.* FROM grouped g
 ORDER BY day, caller_id, corpus, model, operation LIMIT %(limit)s OFFSET %(offset)s)
ORDER BY is_total DESC, day, caller_id, corpus, model, operation
