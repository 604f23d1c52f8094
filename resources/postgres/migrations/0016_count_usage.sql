-- What each caller used, counted by day (UTC) in the transaction of what it counts: an item's end, the ledger rows of an
-- answer of the embedding server. Corpora and models stand here by their names: the numbers outlive what is deleted.
CREATE TABLE cixml.usage (
    caller_id        text NOT NULL,
    day              date NOT NULL,
    corpus_owner     text NOT NULL,
    corpus           text NOT NULL,
    model            text NOT NULL,
    operation        text NOT NULL CHECK (operation IN ('index', 'search')),
    pages            bigint NOT NULL DEFAULT 0,
    bytes            bigint NOT NULL DEFAULT 0,
    chunks           bigint NOT NULL DEFAULT 0,
    embedding_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens    bigint NOT NULL DEFAULT 0,
    searches         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (caller_id, day, corpus_owner, corpus, model, operation)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE cixml.usage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_sees_all ON cixml.usage TO CURRENT_USER USING (true);
CREATE POLICY pipeline_sees_all ON cixml.usage TO cixml_pipeline USING (true);
CREATE POLICY own_rows_or_operators ON cixml.usage FOR SELECT TO cixml_api
    USING (caller_id = (SELECT cixml.caller()) OR (SELECT current_setting('cixml.operator', true)) = 'on');
GRANT SELECT ON cixml.usage TO cixml_api;
GRANT SELECT, INSERT, UPDATE ON cixml.usage TO cixml_pipeline;

-- Searches are counted by the API for all callers, and the API counts nothing else. In the order of the keys, so that two
-- processes never wait for each other crosswise.
CREATE FUNCTION cixml.count_searches(
    callers text[], days date[], owners text[], corpora text[], models text[], searches bigint[], tokens bigint[])
    RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = cixml, pg_temp
    AS $$
        INSERT INTO usage AS u (caller_id, day, corpus_owner, corpus, model, operation, searches, embedding_tokens)
        SELECT n.caller_id, n.day, n.corpus_owner, n.corpus, n.model, 'search', n.searches, n.tokens
        FROM unnest(callers, days, owners, corpora, models, searches, tokens)
            AS n (caller_id, day, corpus_owner, corpus, model, searches, tokens)
        ORDER BY n.caller_id, n.day, n.corpus_owner, n.corpus, n.model
        ON CONFLICT (caller_id, day, corpus_owner, corpus, model, operation) DO UPDATE
        SET searches = u.searches + excluded.searches, embedding_tokens = u.embedding_tokens + excluded.embedding_tokens
    $$;
REVOKE ALL ON FUNCTION cixml.count_searches(text[], date[], text[], text[], text[], bigint[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cixml.count_searches(text[], date[], text[], text[], text[], bigint[], bigint[]) TO cixml_api;

-- What was used before this table.
INSERT INTO cixml.usage (caller_id, day, corpus_owner, corpus, model, operation, pages, bytes, chunks, cached_tokens)
SELECT i.caller_id, (i.finished_at AT TIME ZONE 'UTC')::date, c.owner, c.name, m.name, 'index',
       count(*) FILTER (WHERE i.fetched_at IS NOT NULL AND i.http_status < 400), sum(i.bytes), sum(i.chunks_total),
       sum(i.cached_tokens)
FROM cixml.job_items i
JOIN cixml.corpora c ON c.id = i.corpus_id
JOIN cixml.index_versions x ON x.corpus_id = c.id AND x.state = 'serving'
JOIN cixml.models m ON m.id = x.model_id
WHERE i.finished_at IS NOT NULL AND i.status <> 'cancelled' AND (i.fetched_at IS NOT NULL OR i.cached_tokens > 0)
GROUP BY 1, 2, 3, 4, 5;
INSERT INTO cixml.usage AS u (caller_id, day, corpus_owner, corpus, model, operation, embedding_tokens)
SELECT l.caller_id, (l.created_at AT TIME ZONE 'UTC')::date, c.owner, c.name, m.name, 'index', sum(l.tokens)
FROM cixml.usage_ledger l JOIN cixml.corpora c ON c.id = l.corpus_id JOIN cixml.models m ON m.id = l.model_id
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (caller_id, day, corpus_owner, corpus, model, operation) DO UPDATE
SET embedding_tokens = excluded.embedding_tokens;
