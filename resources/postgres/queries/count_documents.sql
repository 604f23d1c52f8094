-- Documents that pass the filter of list_documents. One row when the caller has the corpus, none otherwise.
SELECT (SELECT count(*) FROM (
            SELECT FROM cixml.documents d
            LEFT JOIN cixml.document_versions v ON v.id = d.live_version_id
            WHERE d.corpus_id = c.id AND d.deleted_at IS NULL
              AND CASE WHEN d.live_version_id IS NULL THEN 'pending' ELSE 'live' END = ANY (%(statuses)s)
              AND (%(url_key)s::text IS NULL OR d.url_key = %(url_key)s)
              AND (%(external_id)s::text IS NULL OR d.external_id = %(external_id)s)
              AND (%(languages)s::text[] IS NULL OR v.language = ANY (%(languages)s))
              AND (%(changed_after)s::timestamptz IS NULL OR v.live_from > %(changed_after)s)
            LIMIT %(cap)s
        ) found)
FROM cixml.corpora c
WHERE c.owner = %(owner)s AND c.name = %(name)s AND c.deleted_at IS NULL
