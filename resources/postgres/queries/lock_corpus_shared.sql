-- Held by every commit of vectors, chunks or live versions; a flip of the index or a sweep holds it exclusive, briefly.
SELECT pg_advisory_xact_lock_shared(hashtextextended(%(corpus_id)s::text, 0))
