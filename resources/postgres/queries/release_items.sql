-- Gives items of a batch back to the queue, to start where they stood. `refund` 1: the try did not count.
WITH freed AS (
    DELETE FROM cixml.leases
    WHERE batch_id = %(batch_id)s AND item_id = ANY (%(item_ids)s::uuid[])
    RETURNING item_id, caller_id, corpus_id, url_key, enqueued_at
), waiting AS (
    UPDATE cixml.job_items i
    SET start_stage = CASE WHEN i.status IN ('scraping', 'chunking', 'embedding') THEN i.status ELSE i.start_stage END,
        status = 'queued', attempts = greatest(0, attempts - %(refund)s), waiting_reason = %(reason)s,
        next_attempt_at = now() + make_interval(secs => %(delay_seconds)s),
        paused_since = CASE WHEN %(reason)s = 'host_paused' THEN coalesce(i.paused_since, now()) ELSE i.paused_since END
    FROM freed f WHERE i.id = f.item_id AND i.finished_at IS NULL
    RETURNING i.id, i.host, i.next_attempt_at, i.start_stage
)
INSERT INTO cixml.work_queue (item_id, caller_id, corpus_id, url_key, host, ready_at, enqueued_at, stage)
SELECT w.id, f.caller_id, f.corpus_id, f.url_key, w.host, w.next_attempt_at, f.enqueued_at, w.start_stage
FROM waiting w JOIN freed f ON f.item_id = w.id
