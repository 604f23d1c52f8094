SELECT body_sha256, status, location, answer
FROM cixml.idempotency_keys
WHERE caller_id = %(caller_id)s AND method = %(method)s AND path = %(path)s AND key = %(key)s
