INSERT INTO cixml.idempotency_keys (caller_id, method, path, key, body_sha256, status, location, answer)
VALUES (%(caller_id)s, %(method)s, %(path)s, %(key)s, %(body_sha256)s, %(status)s, %(location)s, %(answer)s)
