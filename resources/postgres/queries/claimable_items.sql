-- What may be claimed, fair share first: round robin over callers by the work they have in flight, stateless.
-- Each caller gives at most twice its even share: what a short queue of another leaves is found at the next look. A
-- caller's queue is read in its order up to so many that may be worked on, under the claim lock.
WITH waiting AS MATERIALIZED (
    SELECT caller_id FROM cixml.waiting_callers
), share AS (
    SELECT greatest(100, 2 * %(limit)s::int / greatest(1, count(*)))::int AS items FROM waiting
), in_flight AS (
    SELECT caller_id, count(*) AS items FROM cixml.leases WHERE item_id IS NOT NULL GROUP BY caller_id
)
SELECT i.item_id, i.caller_id, i.corpus_id, i.url_key,
       EXISTS (SELECT 1 FROM cixml.documents d
               WHERE d.corpus_id = i.corpus_id AND d.url_key = i.url_key AND d.live_version_id IS NOT NULL) AS is_known
FROM waiting c
CROSS JOIN LATERAL (
    SELECT w.item_id, w.caller_id, w.corpus_id, w.url_key, row_number() OVER (ORDER BY w.ready_at, w.item_id) AS turn
    FROM cixml.workable_items w
    WHERE w.caller_id = c.caller_id AND w.model = ANY (%(models)s)
    ORDER BY w.ready_at, w.item_id
    LIMIT least(%(limit)s::int, (SELECT items FROM share))
) i
LEFT JOIN in_flight f ON f.caller_id = i.caller_id
ORDER BY i.turn + coalesce(f.items, 0), i.item_id
LIMIT %(limit)s
