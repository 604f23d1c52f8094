-- Makes one batch of the items that are still in the queue, and moves them under its lease. An item that a cancel is about
-- to take is passed by: claim and cancel would wait for each other crosswise. No row: the corpus was deleted just now; a
-- deletion waits for a claim that holds the corpus's row, and sees its batch.
WITH corpus AS MATERIALIZED (
    SELECT id FROM cixml.corpora WHERE id = %(corpus_id)s AND deleted_at IS NULL FOR KEY SHARE
), free AS MATERIALIZED (
    SELECT q.item_id FROM cixml.work_queue q
    WHERE q.item_id = ANY (%(item_ids)s::uuid[]) AND EXISTS (SELECT FROM corpus)
    ORDER BY q.item_id FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM cixml.work_queue q USING free f WHERE q.item_id = f.item_id RETURNING q.*
), batch AS (
    INSERT INTO cixml.batches (kind, corpus_id, items, lease_until)
    SELECT 'ingest', id, (SELECT count(*) FROM free), now() + make_interval(secs => %(dispatch_seconds)s) FROM corpus
    RETURNING id, corpus_id
), leased AS (
    INSERT INTO cixml.leases (corpus_id, url_key, work, batch_id, item_id, caller_id, enqueued_at)
    SELECT t.corpus_id, t.url_key, 'ingest', b.id, t.item_id, t.caller_id, t.enqueued_at FROM taken t, batch b
)
SELECT b.id AS batch_id, c.partition_key, m.name AS model
FROM batch b
JOIN cixml.corpora c ON c.id = b.corpus_id
JOIN cixml.index_versions v ON v.corpus_id = c.id AND v.state = 'serving'
JOIN cixml.models m ON m.id = v.model_id
