-- The tombstone and its receipt. No row: it is deleted already, or its settings are not those of `version` any more (null: whatever they are). FOR
-- UPDATE waits for whoever just now adds to the corpus (cixml.hold_corpus, foreign keys).
WITH corpus AS MATERIALIZED (
    SELECT id FROM cixml.corpora
    WHERE id = %(corpus_id)s AND deleted_at IS NULL AND (%(version)s::bigint IS NULL OR version = %(version)s)
    FOR UPDATE
), receipt AS (
    INSERT INTO cixml.receipts (caller_id, corpus_id, corpus, kind, traceparent)
    SELECT cixml.caller(), id, %(address)s, 'corpus', %(traceparent)s FROM corpus
    RETURNING *
), buried AS (
    UPDATE cixml.corpora c SET deleted_at = clock_timestamp(), updated_at = now(), version = c.version + 1
    FROM corpus WHERE c.id = corpus.id
)
SELECT id, kind, corpus, status, removed, waits_for, requested_at, finished_at, traceparent FROM receipt
