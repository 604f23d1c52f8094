-- Two requests with one key take turns, to the end of the transaction: the second finds the first one's answer.
SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(chr(10), %(caller_id)s::text, %(method)s::text, %(path)s::text, %(key)s::text), 0))
