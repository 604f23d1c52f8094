-- Labelled queries with the live documents that are meant, as far as there are any.
SELECT l.query, ARRAY(
    SELECT d.id FROM cixml.documents d
    WHERE d.corpus_id = l.corpus_id AND d.deleted_at IS NULL AND d.live_version_id IS NOT NULL
      AND (d.url = ANY (l.relevant) OR d.external_id = ANY (l.relevant)
           OR 'doc_' || replace(d.id::text, '-', '') = ANY (l.relevant))) AS relevant
FROM cixml.labels l WHERE l.corpus_id = %(corpus_id)s
ORDER BY l.ordinal LIMIT %(limit)s
