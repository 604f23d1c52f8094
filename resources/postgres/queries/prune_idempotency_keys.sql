DELETE FROM cixml.idempotency_keys
WHERE ctid = ANY (ARRAY(SELECT ctid FROM cixml.idempotency_keys
                        WHERE created_at < now() - make_interval(days => %(days)s) LIMIT %(limit)s))
