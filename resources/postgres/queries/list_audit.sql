-- Ids begin with the time: their order is the order of the accesses.
SELECT id, at, caller_id, peer, method, route, ids, status, request_id, trace_id
FROM cixml.audit
WHERE (%(before)s::uuid IS NULL OR id < %(before)s)
  AND (%(caller_id)s::text IS NULL OR caller_id = %(caller_id)s)
  AND (%(method)s::text IS NULL OR method = %(method)s)
  AND (%(route)s::text IS NULL OR route = %(route)s)
  AND (%(status)s::int IS NULL OR status = %(status)s)
  AND (%(request_id)s::text IS NULL OR request_id = %(request_id)s)
  AND (%(created_after)s::timestamptz IS NULL OR at > %(created_after)s)
  AND (%(created_before)s::timestamptz IS NULL OR at < %(created_before)s)
ORDER BY id DESC
LIMIT %(limit)s
