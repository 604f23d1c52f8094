-- Adds the ledger's new rows to the day's usage. The lock: see end_items.sql.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('cixml usage ' || %(corpus_id)s::text, 0))
)
INSERT INTO cixml.usage AS u (caller_id, day, corpus_owner, corpus, model, operation, embedding_tokens)
SELECT n.caller_id, (now() AT TIME ZONE 'UTC')::date, c.owner, c.name, m.name, 'index', n.tokens
FROM turn
CROSS JOIN unnest(%(caller_ids)s::text[], %(tokens)s::bigint[]) AS n (caller_id, tokens)
JOIN cixml.corpora c ON c.id = %(corpus_id)s
JOIN cixml.models m ON m.id = %(model_id)s
ON CONFLICT (caller_id, day, corpus_owner, corpus, model, operation) DO UPDATE
SET embedding_tokens = u.embedding_tokens + excluded.embedding_tokens
