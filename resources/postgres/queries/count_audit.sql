SELECT count(*) FROM (
    SELECT FROM cixml.audit
    WHERE (%(caller_id)s::text IS NULL OR caller_id = %(caller_id)s)
      AND (%(method)s::text IS NULL OR method = %(method)s)
      AND (%(route)s::text IS NULL OR route = %(route)s)
      AND (%(status)s::int IS NULL OR status = %(status)s)
      AND (%(request_id)s::text IS NULL OR request_id = %(request_id)s)
      AND (%(created_after)s::timestamptz IS NULL OR at > %(created_after)s)
      AND (%(created_before)s::timestamptz IS NULL OR at < %(created_before)s)
    LIMIT %(cap)s
) found
