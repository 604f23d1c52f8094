-- Pages that wait for the server of a model go on now. Items are locked before their rows of the queue, as everywhere; what another
-- transaction ends just now is passed over. Under the lock of the claims.
WITH waiting AS MATERIALIZED (
    SELECT i.id FROM cixml.work_queue q
    JOIN cixml.job_items i ON i.id = q.item_id
    JOIN cixml.index_versions v ON v.corpus_id = q.corpus_id AND v.state = 'serving'
    JOIN cixml.models m ON m.id = v.model_id
    WHERE q.stage = 'embedding' AND q.ready_at > now() AND i.waiting_reason = ANY (%(reasons)s) AND m.fingerprint = %(fingerprint)s
    FOR UPDATE OF i SKIP LOCKED
), told AS (
    UPDATE cixml.job_items i SET next_attempt_at = now() FROM waiting w WHERE i.id = w.id
)
UPDATE cixml.work_queue q SET ready_at = now() FROM waiting w WHERE q.item_id = w.id
