-- One row per text, model and caller, whatever is repeated. Returns what is new by caller, for count_texts.sql.
WITH paid AS (
    INSERT INTO cixml.usage_ledger (caller_id, model_id, chunk_hash, corpus_id, tokens)
    SELECT caller_id, %(model_id)s, chunk_hash, %(corpus_id)s, tokens FROM stage_vectors ORDER BY caller_id, chunk_hash
    ON CONFLICT (caller_id, model_id, chunk_hash) DO NOTHING
    RETURNING caller_id, tokens
)
SELECT caller_id, sum(tokens)::bigint AS tokens FROM paid GROUP BY caller_id
