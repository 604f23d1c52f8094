INSERT INTO cixml.callers (caller_id, caller_type)
VALUES (%(caller_id)s, %(caller_type)s)
ON CONFLICT (caller_id) DO NOTHING
