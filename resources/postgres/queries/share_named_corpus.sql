-- As lock_corpus_shared, for who pushes: a deletion of the same documents comes before all of it or after.
SELECT pg_advisory_xact_lock_shared(hashtextextended(c.id::text, 0)) FROM cixml.corpora c
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
