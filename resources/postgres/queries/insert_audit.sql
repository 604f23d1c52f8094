-- A batch whose commit was not heard of comes again. Without a target, DO NOTHING asks no policy for reading.
INSERT INTO cixml.audit (id, at, caller_id, peer, method, route, ids, status, request_id, trace_id)
SELECT * FROM unnest(%(id)s::uuid[], %(at)s::timestamptz[], %(caller_id)s::text[], %(peer)s::text[], %(method)s::text[],
                     %(route)s::text[], %(ids)s::jsonb[], %(status)s::int[], %(request_id)s::text[], %(trace_id)s::text[])
ON CONFLICT DO NOTHING
