-- The request for which a batch fills an index version, by one of the documents that it has under lease.
SELECT v.traceparent, c.name AS corpus_name
FROM cixml.leases l
JOIN cixml.index_versions v ON v.corpus_id = l.corpus_id AND v.id::text = l.work
JOIN cixml.corpora c ON c.id = l.corpus_id
WHERE l.batch_id = %(batch_id)s AND v.traceparent IS NOT NULL
LIMIT 1
