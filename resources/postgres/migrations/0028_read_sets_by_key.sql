-- As in 0027, but the chunk sets that pass a filter are read by their key: the plan asked the index of lexemes once for each of
-- them, which took up to 4 seconds of 60,000 chunks.
CREATE OR REPLACE FUNCTION cixml.keyword_matches(corpus uuid, fingerprint text, mark text, words text[], lexemes text[], languages text[],
        dictionaries text[], bounded boolean, sets bigint[])
    RETURNS TABLE (chunk_set_id bigint, ordinal int, score double precision, is_complete boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000
    SET search_path = cixml, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
    AS $$
    DECLARE
        thresholds double precision[] := ARRAY(
            SELECT (0.1 / 1.64493406685 * (sum(1.0 / (k * k)) OVER (ORDER BY k) - 0.5 / (k * k)))::double precision
            FROM generate_series(1, 40) k);
        total double precision;
        mean double precision; -- length of a chunk
        is_counted boolean;
        terms tsquery[];
        weights double precision[];
        selecting tsquery;
        is_whole boolean;
    BEGIN
        SELECT l.chunks, l.tokens::double precision / l.chunks, l.counted_chunks IS NOT NULL INTO total, mean, is_counted
        FROM corpus_levels l
        WHERE l.corpus_id = corpus AND l.chunking_fp = fingerprint AND l.chunks > 0 AND l.tokens > 0
          AND corpus = ANY (visible_corpora());
        IF NOT FOUND THEN
            RETURN;
        END IF;
        WITH spoken AS MATERIALIZED (
            SELECT q.lexeme, bool_or(ts_lexize(q.dictionary::regdictionary, q.word) = '{}') OVER (PARTITION BY q.word) IS TRUE AS is_stopped
            FROM unnest(words, lexemes, languages, dictionaries) q (word, lexeme, language, dictionary)
            JOIN corpus_languages g ON g.corpus_id = corpus AND g.language = q.language
        ), asked AS (
            SELECT w.lexeme, coalesce(f.chunks, 1) AS chunks
            FROM (SELECT DISTINCT s.lexeme FROM spoken s
                  WHERE NOT s.is_stopped OR NOT EXISTS (SELECT FROM spoken o WHERE NOT o.is_stopped)) w
            LEFT JOIN lexeme_counts f ON is_counted AND f.corpus_id = corpus AND f.lexeme = w.lexeme
        ), ordered AS (
            SELECT quote_literal(a.lexeme)::tsquery AS query, ln(1 + (total - least(a.chunks, total) + 0.5) / (a.chunks + 0.5)) AS weight,
                   a.chunks, a.lexeme, sum(a.chunks) OVER (ORDER BY a.chunks, a.lexeme) AS up_to
            FROM asked a
        ), chosen AS (
            SELECT o.*, NOT (bounded AND is_counted) OR o.up_to <= 2000 OR o.up_to - o.chunks < 200 AS selects FROM ordered o
        )
        SELECT array_agg(c.query ORDER BY c.chunks, c.lexeme), array_agg(c.weight ORDER BY c.chunks, c.lexeme),
               string_agg(c.query::text, ' | ') FILTER (WHERE c.selects)::tsquery && quote_literal(mark)::tsquery, bool_and(c.selects)
        INTO terms, weights, selecting, is_whole
        FROM chosen c;
        IF terms IS NULL THEN
            RETURN;
        END IF;
        IF NOT is_counted THEN
            RETURN QUERY
            WITH live AS MATERIALIZED (
                SELECT l.* FROM chunk_lexemes l
                JOIN chunk_sets s ON s.id = l.chunk_set_id AND s.chunking_fp = fingerprint
                JOIN document_versions v ON v.id = s.document_version_id
                JOIN documents d ON d.id = v.document_id AND d.live_version_id = v.id AND d.deleted_at IS NULL
                WHERE l.lexemes @@ selecting AND l.corpus_id = corpus
            ), counted AS MATERIALIZED (
                SELECT l.chunk_set_id, l.ordinal, l.length, t.n, f.times
                FROM live l CROSS JOIN unnest(terms) WITH ORDINALITY t (query, n)
                CROSS JOIN LATERAL (SELECT width_bucket(ts_rank(l.lexemes, t.query)::double precision, thresholds) AS times OFFSET 0) f
                WHERE f.times > 0
            ), weight AS MATERIALIZED (
                SELECT c.n, ln(1 + (total - least(count(*), total) + 0.5) / (count(*) + 0.5)) AS value FROM counted c GROUP BY c.n
            )
            SELECT c.chunk_set_id, c.ordinal,
                   sum(w.value * c.times * 2.2 / (c.times + 1.2 * (0.25 + 0.75 * c.length / mean))), true
            FROM counted c JOIN weight w ON w.n = c.n
            GROUP BY c.chunk_set_id, c.ordinal;
            RETURN;
        END IF;
        RETURN QUERY
        WITH found AS MATERIALIZED (
            SELECT l.* FROM chunk_lexemes l
            WHERE sets IS NULL AND l.lexemes @@ selecting AND l.corpus_id = corpus
            LIMIT CASE WHEN bounded THEN 4000 END
        ), of_sets AS MATERIALIZED (
            SELECT l.* FROM unnest(sets) s (id)
            CROSS JOIN LATERAL (SELECT * FROM chunk_lexemes k WHERE k.chunk_set_id = s.id OFFSET 0) l
            WHERE l.corpus_id = corpus AND l.lexemes @@ selecting
        ), scored AS (
            SELECT f.chunk_set_id, f.ordinal,
                   (SELECT sum(t.weight * c.times * 2.2 / (c.times + 1.2 * (0.25 + 0.75 * f.length / mean)))
                    FROM unnest(terms, weights) t (query, weight)
                    CROSS JOIN LATERAL (SELECT width_bucket(ts_rank(f.lexemes, t.query)::double precision, thresholds) AS times OFFSET 0) c) AS score
            FROM (SELECT * FROM found UNION ALL SELECT * FROM of_sets) f
        )
        SELECT s.chunk_set_id, s.ordinal, s.score, is_whole AND NOT (bounded AND (SELECT count(*) FROM found) >= 4000) FROM scored s;
    END $$;
