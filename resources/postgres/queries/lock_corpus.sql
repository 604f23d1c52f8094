SELECT pg_advisory_xact_lock(hashtextextended(%(corpus_id)s::text, 0))
