-- What may be claimed, fair share first: round robin over callers by the work they have in flight, stateless.
-- Callers are found by skipping through the index, and each gives at most twice its even share (what a short queue of
-- another leaves is found at the next look), so a queue of a million rows costs a few looks per caller. Held hosts are a set
-- that is asked before all else: a caller's whole queue may be of one, and is read to its end under the claim lock.
WITH RECURSIVE waiting_caller AS (
    (SELECT caller_id FROM cixml.work_queue ORDER BY caller_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.caller_id FROM cixml.work_queue q WHERE q.caller_id > c.caller_id ORDER BY q.caller_id LIMIT 1)
    FROM waiting_caller c WHERE c.caller_id IS NOT NULL
), share AS (
    SELECT greatest(100, 2 * %(limit)s::int / greatest(1, count(caller_id)))::int AS items FROM waiting_caller
), in_flight AS (
    SELECT caller_id, count(*) AS items FROM cixml.leases WHERE item_id IS NOT NULL GROUP BY caller_id
)
SELECT i.item_id, i.caller_id, i.corpus_id, i.url_key,
       EXISTS (SELECT 1 FROM cixml.documents d
               WHERE d.corpus_id = i.corpus_id AND d.url_key = i.url_key AND d.live_version_id IS NOT NULL) AS is_known
FROM waiting_caller c
CROSS JOIN LATERAL (
    SELECT q.item_id, q.caller_id, q.corpus_id, q.url_key, row_number() OVER (ORDER BY q.ready_at, q.item_id) AS turn
    FROM cixml.work_queue q
    WHERE q.caller_id = c.caller_id
      AND q.ready_at <= now()
      AND NOT EXISTS (SELECT 1 FROM cixml.leases l
                      WHERE l.corpus_id = q.corpus_id AND l.url_key = q.url_key AND l.work = 'ingest')
      AND q.host NOT IN (SELECT h.host FROM cixml.hosts h WHERE h.not_before > now())
      AND EXISTS (SELECT 1 FROM cixml.index_versions v
                  JOIN cixml.models m ON m.id = v.model_id
                  JOIN cixml.corpora k ON k.id = v.corpus_id AND k.deleted_at IS NULL
                  WHERE v.corpus_id = q.corpus_id AND v.state = 'serving' AND m.name = ANY (%(models)s) AND m.is_enabled)
    ORDER BY q.ready_at, q.item_id
    LIMIT least(%(limit)s::int, (SELECT items FROM share))
) i
LEFT JOIN in_flight f ON f.caller_id = i.caller_id
ORDER BY i.turn + coalesce(f.items, 0), i.item_id
LIMIT %(limit)s
