SELECT pg_try_advisory_xact_lock(hashtextextended(%(corpus_id)s::text, 0))
